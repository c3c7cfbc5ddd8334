"""Trainings of regularisers on toy sheets: they learn, go on to the last bit, say what is wrong."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from facemill.formats.checkpoints import read_pickled
from facemill.formats.surface_maps import write_no_surface, write_surface_map
from facemill.multiview.capture_files import CaptureFiles
from facemill.multiview.regularization.network_files import load_regularizer, save_regularizer
from facemill.multiview.regularization.networks import make_regularizer
from facemill.multiview.regularization.settings import SurfaceSettings, TrainRegularizerSettings
from facemill.multiview.regularization.spec import RegularizerSpec
from facemill.multiview.regularization.training import train as train_module
from facemill.multiview.regularization.training.objective import regularizer_loss
from facemill.multiview.regularization.training.patches import FacePatches, collate_patches
from facemill.multiview.regularization.training.train import (
    MatchedCaptures,
    open_faces,
    spec_of,
    train_regularizer,
)
from facemill.multiview.regularization.training.validation import errors_of, score
from facemill.runtime.errors import ConfigurationError
from facemill.training import run as run_module
from facemill.training.files import TrainingOutputs
from facemill.training.run import TrainingError
from unit.multiview.map_toys import make_capture
from unit.multiview.regularization.sheet_toys import scored, sheet

CPU = torch.device("cpu")
QUICK = TrainRegularizerSettings(
    network={"samples": 8, "step": 0.1, "widths": (4, 6, 8)}, batch=2, epochs=3, patch=16, patches=2,
    log_interval=1, validation_interval=3, checkpoint_interval=2, pictures=1, average=0.5, warmup_steps=0,
    precision="32",
)  # fmt: skip


def bumps(seed):
    """(24, 32) mm: waves that the classical surface smooths away."""
    rows, columns = np.mgrid[:24, :32].astype(float)
    phase = np.random.default_rng(seed).uniform(0, 6, 2)
    return 0.1 * np.sin(columns / 1.6 + phase[0]) * np.cos(rows / 2.2 + phase[1])


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return make_capture(tmp_path_factory.mktemp("capture"))


@pytest.fixture
def captures(toy, tmp_path, monkeypatch):
    """Three sheets with truth as captures: two to train on and one to validate on."""
    surfaces = {name: bumps(number) for number, name in enumerate(("a", "b", "held"))}
    grids = {name: sheet(truth=values.astype(np.float32)) for name, values in surfaces.items()}
    fitted = toy.read()

    def opened(files, model):
        found = []
        for one in files:
            copy = type(fitted)(one.name, *list(vars(fitted).values())[1:])
            found.append((copy, grids[one.name]))
        return found

    monkeypatch.setattr(train_module, "open_captures", opened)
    for name, grid in grids.items():
        write_surface_map(
            tmp_path / f"{name}.npz", scored(grid, surfaces[name], random=np.random.default_rng(9))
        )
    write_no_surface(tmp_path / "none.npz", "no_network", "there are no weights")

    def listed(*names):
        files = [CaptureFiles(name, *[Path()] * 4) for name in names]
        return MatchedCaptures(
            files, [tmp_path / f"{name}.npz" for name in names], [tmp_path / "none.npz"] * len(names)
        )

    return listed("a", "b"), listed("held")


def results(folder: Path, name: str) -> TrainingOutputs:
    return TrainingOutputs(*(folder / f"{name}.{ending}" for ending in ("safetensors", "csv", "png", "json")))


def train(captures, toy, folder, name, settings=QUICK):
    train_regularizer(*captures, toy.model, settings, folder / name, results(folder, name), CPU)


def losses_of(folder: Path) -> list[float]:
    with (folder / "metrics.csv").open(newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file) if row["kind"] == "train"]


def test_a_broken_run_goes_on_to_the_last_bit(captures, toy, tmp_path, monkeypatch):
    train(captures, toy, tmp_path, "whole")
    step = run_module.TrainingRun._step

    def interrupted(self, number, stored):
        if number == 4:  # two steps after the last checkpoint
            raise KeyboardInterrupt
        return step(self, number, stored)

    with monkeypatch.context() as patched:
        patched.setattr(run_module.TrainingRun, "_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(captures, toy, tmp_path, "broken")
    assert read_pickled(tmp_path / "broken" / "last.pth")["step"] == 2
    train(captures, toy, tmp_path, "broken")
    for ending in ("safetensors", "png", "json"):
        assert (tmp_path / f"whole.{ending}").read_bytes() == (tmp_path / f"broken.{ending}").read_bytes()
    assert losses_of(tmp_path / "whole") == losses_of(tmp_path / "broken")
    summary = json.loads((tmp_path / "whole.json").read_text())
    assert (summary["steps"], summary["captures"], summary["validation_images"]) == (6, 2, 1)
    assert {"median", "p90", "beyond", "slope", "start_median"} <= summary.keys()
    network = load_regularizer(tmp_path / "whole.safetensors")
    assert network.spec == RegularizerSpec("compact", 8, 0.1, (4, 6, 8), ("classical",))
    with pytest.raises(TrainingError, match="belongs to another training"):
        train(captures, toy, tmp_path, "whole", QUICK.model_copy(update={"seed": 5}))


def test_it_learns_what_the_classical_surface_smooths_away(captures, toy, tmp_path):
    stiff = SurfaceSettings(smoothness=15.0, outlier=1.0)
    changed = {"epochs": 12.0, "learning_rate": 1e-2, "validation_interval": 24, "surface": stiff}
    settings = QUICK.model_copy(update=changed)
    train(captures, toy, tmp_path, "long", settings)
    summary = json.loads((tmp_path / "long.json").read_text())
    assert summary["median"] < 0.7 * summary["start_median"]
    assert summary["slope"] < 0.8 * summary["start_slope"] and summary["best"] < 0.8


@pytest.mark.parametrize("loss", ["robust", "published"])
def test_loss_of_a_perfect_and_of_a_shifted_answer(loss):
    settings = TrainRegularizerSettings(loss=loss)
    spec = RegularizerSpec("compact", 16, 0.1, (4, 6, 8), ())
    target = torch.zeros(1, 4, 4)
    target[0, 0, 0], target[0, 3, 3] = float("nan"), 9.0  # unknown, and out of the band
    batch = {
        "volume": torch.zeros(1, 1, 1, 1, 1), "residual": target, "middle": torch.zeros(1, 4, 4),
        "down": torch.full((1, 4, 4), 0.5), "across": torch.full((1, 4, 4), 0.5),
    }  # fmt: skip

    def answer(shift):
        found = torch.stack([torch.full((1, 4, 4), shift), torch.full((1, 4, 4), np.log(0.5))], dim=1)
        return regularizer_loss(lambda volume: found, batch, spec, settings)

    perfect, shifted = answer(0.0), answer(0.25)
    if loss == "published":
        assert float(perfect.loss) == 0 and float(shifted.loss) == pytest.approx(2.5**2)
    else:
        # ln 2 b = 0; 0.25 is 5 times 0.05, and Huber's function of 5 is 4.5; a shift has no slope
        assert float(perfect.loss) == pytest.approx(0, abs=1e-4)
        assert float(shifted.terms["displacement"]) == pytest.approx(4.5)
        assert float(shifted.terms["slope"]) == 0 and float(shifted.terms["distance"]) == pytest.approx(0.25)
        assert float(shifted.terms["surprise"]) == pytest.approx(0.5, abs=1e-4)


def test_patches_are_a_function_of_their_position(captures, toy, tmp_path):
    faces = open_faces(captures[0], toy.model, QUICK, tmp_path)
    spec = spec_of(QUICK, faces)
    patches = FacePatches(faces, spec, 16, 2, QUICK.augmentation, 3)
    again = FacePatches(faces, spec, 16, 2, QUICK.augmentation, 3)
    batch = collate_patches([patches[5], again[5], patches[6]])
    assert batch["volume"].shape == (3, 8, 8, 16, 16) and len(patches) == 4
    for values in batch.values():
        assert torch.equal(values[0].nan_to_num(), values[1].nan_to_num())
    assert not torch.equal(batch["volume"][0], batch["volume"][2])
    assert patches.name(5) == again.name(5)


def test_residual_and_middle_add_up_to_the_truth_mirrored_or_not(captures, toy, tmp_path):
    faces = open_faces(captures[0], toy.model, QUICK, tmp_path)
    spec = spec_of(QUICK, faces)
    truths = [np.where(face.evidence.mask, face.truth, np.nan) for face in faces]
    for flip in (0.0, 1.0):
        settings = QUICK.augmentation.model_copy(update={"flip": flip})
        patch = FacePatches(faces, spec, 16, 2, settings, 3)[0]
        total = (patch["residual"] + patch["middle"]).numpy()
        total = total[:, ::-1] if flip else total
        windows = [
            truth[top : top + 16, left : left + 16]
            for truth in truths for top in range(9) for left in range(17)
        ]  # fmt: skip
        assert any(np.allclose(total, window, atol=1e-5, equal_nan=True) for window in windows)


def test_errors_by_hand(captures, toy, tmp_path):
    face = open_faces(captures[1], toy.model, QUICK, tmp_path)[0]
    shifted = errors_of(face, face.truth + 0.2)
    assert shifted["median"] == pytest.approx(0.2, abs=1e-6) and shifted["beyond"] == 0
    assert shifted["slope"] == pytest.approx(0, abs=1e-5)
    columns = np.arange(32.0)[None] * 0.8
    tilted = errors_of(face, face.truth + 0.03 * columns)
    assert tilted["slope"] == pytest.approx(0.03, abs=1e-4)
    start = {"start_median": 0.2, "start_p90": 0.4, "start_slope": 0.1}
    assert score({"median": 0.1, "p90": 0.4, "slope": 0.1, **start}) == pytest.approx(2.5 / 3)


def test_captures_without_truth_or_matches_are_left_out(captures, toy, tmp_path, monkeypatch):
    write_no_surface(captures[0].classical[0], "out_of_band", "15 mm off")
    faces = open_faces(captures[0], toy.model, QUICK, tmp_path)
    assert [face.name for face in faces] == ["b"]
    monkeypatch.setattr(train_module, "open_captures", lambda files, model: [])
    with pytest.raises(ConfigurationError, match="nothing to learn from"):
        train(captures, toy, tmp_path, "none")


def test_weights_to_start_from_must_be_of_the_same_network(captures, toy, tmp_path):
    other = make_regularizer(RegularizerSpec("compact", 8, 0.1, (2, 2, 2), ("classical",)))
    save_regularizer(tmp_path / "other.safetensors", other)
    settings = QUICK.model_copy(update={"start": str(tmp_path / "other.safetensors")})
    with pytest.raises(ConfigurationError, match="not that of the weights to start from"):
        train(captures, toy, tmp_path, "started", settings)
