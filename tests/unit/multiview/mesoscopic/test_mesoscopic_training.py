"""The training of the mesoscopic network: terms by hand, patches, the adversarial module, a whole run."""

import json
import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from facemill.models.files import save_model
from facemill.multiview.mesoscopic.examples import (
    CHANNELS,
    METRIC,
    RELIEF,
    ZONE,
    example_file,
    list_sources,
    open_source,
)
from facemill.multiview.mesoscopic.network_files import load_network, make_network
from facemill.multiview.mesoscopic.objective import squared_slope, supervised_terms
from facemill.multiview.mesoscopic.patches import PatchOrder, PatchSet, augmented, mirrored
from facemill.multiview.mesoscopic.settings import (
    DiscriminatorSettings,
    MesoscopicAugmentationSettings,
    MesoscopicWeights,
    TrainMesoscopicSettings,
)
from facemill.multiview.mesoscopic.spec import MesoscopicSpec, channels
from facemill.multiview.mesoscopic.texture_inputs import fine_relief
from facemill.multiview.mesoscopic.train import train_mesoscopic
from facemill.multiview.mesoscopic.trainee import MesoscopicTrainee, make_discriminator
from facemill.multiview.mesoscopic.zones import texel_sides
from facemill.runtime.errors import ConfigurationError
from facemill.training.files import TrainingOutputs
from facemill.training.run import TrainingError
from unit.multiview.mesoscopic.mesoscopic_toys import lose_surface, make_source

PLAIN = MesoscopicAugmentationSettings(flip=0, gain=0, colour=0, degraded=0, uneven=0)
SCRIPT = Path(__file__).resolve().parents[4] / "scripts" / "train_mesoscopic.py"
SETTINGS = TrainMesoscopicSettings(
    network={"widths": (6, 8)},
    patch=64,
    stride=64,
    batch=2,
    epochs=2.0,
    schedule="step",
    learning_rate=5e-3,
    warmup_steps=0,
    validation_interval=2,
    checkpoint_interval=2,
    pictures=1,
    average=0.9,
)


def example(height=8, width=10) -> torch.Tensor:
    """One flat example, all known, texels 0.5 mm across and 0.25 mm down."""
    maps = torch.zeros(1, CHANNELS, height, width)
    maps[:, ZONE] = 1
    maps[:, METRIC] = torch.tensor([0.25, 0.0, 0.0625])[None, :, None, None]
    return maps


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return make_source(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return make_source(tmp_path_factory.mktemp("other"), seed=1)


def outputs_in(folder) -> TrainingOutputs:
    return TrainingOutputs(
        folder / "network.safetensors",
        folder / "metrics.csv",
        folder / "faces.png",
        folder / "summary.json",
    )


def train(folder, toy, other, settings=SETTINGS):
    train_mesoscopic(
        [toy.source],
        [other.source],
        toy.model,
        settings,
        folder / "run",
        outputs_in(folder),
        torch.device("cpu"),
    )


def test_terms_by_hand():
    maps = example()
    maps[:, RELIEF] = 0.1
    output = torch.zeros(1, 2, 8, 10)
    output[:, 0] = 0.3
    terms = supervised_terms(output, maps, MesoscopicWeights())
    assert float(terms["relief"]) == pytest.approx(0.2 - 0.025)  # beyond 0.05 mm: length less its half
    assert float(terms["slope"]) == pytest.approx(0, abs=1e-6)
    assert float(terms["surprise"]) == pytest.approx(0.2 + np.log(2))  # b = 1 mm
    output[:, 0] = 0.12
    near = supervised_terms(output, maps, MesoscopicWeights(slope=0, surprise=0))
    assert set(near) == {"relief"} and float(near["relief"]) == pytest.approx(0.02**2 / 0.1)


def test_slope_is_measured_in_millimetres_on_the_surface():
    maps = example()
    columns = torch.arange(10.0).expand(1, 8, 10)
    rows = torch.arange(8.0)[None, :, None].expand(1, 8, 10)
    assert torch.allclose(squared_slope(0.1 * columns, maps[:, METRIC]), torch.tensor(0.2**2))
    assert torch.allclose(squared_slope(0.1 * rows, maps[:, METRIC]), torch.tensor(0.4**2))
    # Steps (1, 0) and (1, 1) mm: a height that rises by 1 with y, f = y, is 0 across and 1 along the second.
    oblique = torch.tensor([1.0, 1.0, 2.0])[None, :, None, None].expand(1, 3, 8, 10)
    assert torch.allclose(squared_slope(rows, oblique), torch.tensor(1.0))
    assert torch.all(squared_slope(rows, torch.zeros(1, 3, 8, 10)) == 0)


def test_unknown_and_forbidden_texels_do_not_count():
    maps = example()
    maps[:, RELIEF] = 0.2
    maps[:, RELIEF, :, 5:] = torch.nan
    maps[:, ZONE, :4] = 0
    output = torch.full((1, 2, 8, 10), 0.2, requires_grad=True)
    terms = supervised_terms(output, maps, MesoscopicWeights())
    assert float(terms["relief"].detach()) == 0 and all(torch.isfinite(term) for term in terms.values())
    sum(terms.values()).backward()
    assert output.grad is not None and torch.isfinite(output.grad).all()
    assert torch.all(output.grad[:, :, :, 6:] == 0) and torch.all(output.grad[:, :, :4] == 0)
    assert output.grad[:, 1, 5:, :5].abs().min() > 0


def test_a_mirrored_patch_is_that_of_a_mirrored_face():
    maps = torch.rand(CHANNELS, 6, 8)
    flipped = mirrored(maps)
    assert torch.equal(mirrored(flipped), maps)
    assert torch.equal(flipped[RELIEF], maps[RELIEF].flip(-1))
    normals = channels("normals").start
    assert torch.equal(flipped[normals], -maps[normals].flip(-1))
    assert torch.equal(flipped[normals + 1], maps[normals + 1].flip(-1))
    slope = squared_slope(maps[None, RELIEF], torch.stack([maps[0] + 1, 0.3 * maps[1], maps[2] + 1])[None])
    metric = mirrored(
        torch.cat([maps[: METRIC.start], torch.stack([maps[0] + 1, 0.3 * maps[1], maps[2] + 1])])
    )
    assert slope.shape == (1, 5, 7) and torch.equal(metric[METRIC.start + 1], -0.3 * maps[1].flip(-1))


def test_augmentation_keeps_the_sum_of_surface_and_relief():
    maps = torch.rand(2, CHANNELS, 32, 32)
    settings = PLAIN.model_copy(update={"uneven": 0.05})
    found = augmented(maps, [3, 4], settings)
    bump = channels("bump").start
    assert torch.allclose(found[:, bump] + found[:, RELIEF], maps[:, bump] + maps[:, RELIEF], atol=1e-5)
    assert (found[:, bump] - maps[:, bump]).std() > 0.001
    match, sure = (channels(name).start for name in ("match", "match_confidence"))
    assert torch.allclose(found[:, bump] + found[:, match], maps[:, bump] + maps[:, match], atol=1e-5)
    unmatched = maps.clone()
    unmatched[:, sure] = 0  # nothing was matched: no match to move
    assert torch.equal(augmented(unmatched, [3, 4], settings)[:, match], maps[:, match])
    assert torch.equal(augmented(maps, [3, 4], settings), found)
    assert torch.equal(augmented(maps, [3, 4], PLAIN), maps)
    worse = augmented(maps, [3, 4], PLAIN.model_copy(update={"degraded": 1.0}))
    assert not torch.equal(worse[:, channels("contrast")], maps[:, channels("contrast")])
    assert torch.equal(worse[:, RELIEF:], maps[:, RELIEF:])


def test_examples_hold_the_relief_that_is_missing(toy, tmp_path):
    path = example_file(toy.source, toy.model, tmp_path)
    assert path is not None and path.stem == toy.source.digest
    stored = np.load(path)
    height, width = toy.grid.mask.shape
    assert stored.shape == (CHANNELS, height, width) and stored.dtype == np.float16
    inner = toy.grid.mask & np.isfinite(stored[RELIEF])
    assert inner.sum() > 0.9 * toy.grid.mask.sum()
    expected = fine_relief(np.where(inner, toy.relief, 0.0), inner, texel_sides(toy.grid))
    assert np.abs(stored[RELIEF][inner] - expected[inner]).max() < 1e-3
    stamp = path.stat().st_mtime_ns
    assert example_file(toy.source, toy.model, tmp_path) == path and path.stat().st_mtime_ns == stamp


def test_captures_without_surface_or_truth_are_left_out(tmp_path, caplog):
    blind = make_source(tmp_path / "blind", scan=False)
    assert open_source(blind.source, blind.model) is None and "no scan" in caplog.text
    lose_surface(blind)
    assert open_source(blind.source, blind.model) is None and "nothing matched" in caplog.text
    with pytest.raises(ConfigurationError, match="nothing to train on"):
        train(tmp_path, blind, blind)


def test_patches_are_a_function_of_seed_and_position(toy, tmp_path):
    path = example_file(toy.source, toy.model, tmp_path)
    patches = PatchSet([path], ["toy"], 64, 64, seed=0)
    assert len(patches) >= 2 and patches.capture_of(0) == "toy"
    order = list(PatchOrder(len(patches), 2, 0, 0, 4))
    assert list(PatchOrder(len(patches), 2, 0, 2, 4)) == order[2:]
    first, again = patches[order[0][0]], patches[order[0][0]]
    assert np.array_equal(first["maps"], again["maps"]) and first["maps"].shape == (CHANNELS, 64, 64)
    moved = patches[(order[0][0][0], 99)]
    assert not np.array_equal(first["maps"], moved["maps"])
    small = PatchSet([path], ["toy"], 320, 64, seed=0)[(0, 0)]["maps"]
    assert small.shape == (CHANNELS, 320, 320) and np.isnan(small[RELIEF, -1]).all()


def test_each_side_of_the_adversarial_loss_moves_its_own_weights():
    torch.manual_seed(0)
    generator = make_network(MesoscopicSpec("compact", widths=(4, 6)))
    judge = make_discriminator(DiscriminatorSettings(scales=1, layers=1, width=4))
    trainee = MesoscopicTrainee(generator, judge)
    maps = torch.rand(1, CHANNELS, 16, 16)
    _, terms = trainee(maps)
    assert set(terms) == {"adversarial", "matching", "discriminator"}

    def moved(term):
        trainee.zero_grad()
        terms[term].backward(retain_graph=True)
        return [
            any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in part.parameters())
            for part in (generator, judge)
        ]

    assert moved("adversarial") == [True, False]
    assert moved("matching") == [True, False]
    assert moved("discriminator") == [False, True]


def test_the_network_learns_to_read_relief_from_shading():
    """Brightness goes with the slope along columns; 40 steps on one patch take half of the error."""
    torch.manual_seed(0)
    columns = torch.arange(32.0).expand(16, 32)
    relief = 0.05 * torch.sin(2 * torch.pi * columns / 11 + 0.4 * torch.arange(16.0)[:, None])
    maps = example(16, 32)
    maps[:, RELIEF] = relief
    maps[:, channels("contrast")] = torch.gradient(relief, dim=1)[0]
    network = make_network(MesoscopicSpec("compact", widths=(8, 12)))
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    weights, losses = MesoscopicWeights(), []
    for _ in range(40):
        terms = supervised_terms(network(maps[:, :RELIEF]), maps, weights)
        loss = 10 * terms["relief"] + 20 * terms["slope"] + 0.1 * terms["surprise"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(terms["slope"].detach()))
    assert losses[-1] < 0.6 * losses[0]


def test_training_goes_on_to_the_same_bytes(toy, other, tmp_path):
    train(tmp_path / "unbroken", toy, other)
    train(tmp_path / "broken", toy, other, SETTINGS.model_copy(update={"epochs": SETTINGS.epochs / 2}))
    train(tmp_path / "broken", toy, other)
    files = [tmp_path / name / "network.safetensors" for name in ("unbroken", "broken")]
    assert files[0].read_bytes() == files[1].read_bytes()
    held = open_source(other.source, other.model)
    assert held is not None and held.maps.pixel > 0
    spec = load_network(files[0]).spec
    assert spec.widths == (6, 8) and spec.pixel == held.maps.pixel
    summary = json.loads((tmp_path / "unbroken" / "summary.json").read_text())
    assert summary["captures"] == summary["validation_images"] == 1 and summary["normal_ratio"] > 0
    rows = pd.read_csv(tmp_path / "unbroken" / "metrics.csv")
    assert {"relief", "slope", "surprise", "normal_ratio"} <= set(rows.columns)
    assert (tmp_path / "unbroken" / "faces.png").stat().st_size > 1000


def test_adversarial_training_goes_on_to_the_same_bytes(toy, other, tmp_path):
    settings = SETTINGS.model_copy(
        update={
            "epochs": 1.0,
            "validation_interval": 1,
            "weights": MesoscopicWeights(adversarial=0.1),
            "discriminator": DiscriminatorSettings(scales=2, layers=1, width=4),
        }
    )
    train(tmp_path / "unbroken", toy, other, settings)
    train(tmp_path / "broken", toy, other, settings.model_copy(update={"epochs": 0.5}))
    train(tmp_path / "broken", toy, other, settings)
    files = [tmp_path / name / "network.safetensors" for name in ("unbroken", "broken")]
    assert files[0].read_bytes() == files[1].read_bytes()
    rows = pd.read_csv(tmp_path / "unbroken" / "metrics.csv")
    assert rows["discriminator"].dropna().between(0, 1).all() and rows["matching"].dropna().min() > 0
    with pytest.raises(TrainingError, match="another training"):
        train(tmp_path / "broken", toy, other, SETTINGS)


def test_the_published_network_trains_too(toy, other, tmp_path):
    settings = SETTINGS.model_copy(
        update={
            "epochs": 0.3,
            "network": SETTINGS.network.model_copy(
                update={"kind": "published", "base_width": 2, "halvings": 2, "blocks": 1}
            ),
        }
    )
    train(tmp_path, toy, other, settings)
    network = load_network(tmp_path / "network.safetensors")
    assert network.spec.kind == "published" and network.spec.base_width == 2
    started = settings.model_copy(update={"start": str(tmp_path / "network.safetensors")})
    train(tmp_path / "next", toy, other, started)
    rows = pd.read_csv(tmp_path / "next" / "metrics.csv")
    assert (rows["step"] == 0).any()  # judged before the first step
    wrong = started.model_copy(update={"network": SETTINGS.network})
    with pytest.raises(ConfigurationError, match="start from"):
        train(tmp_path / "wrong", toy, other, wrong)


def test_the_script_trains(toy, other, tmp_path):
    save_model(tmp_path / "model.npz", toy.model)

    def files(one, prefix=""):
        source = one.source
        return {
            f"{prefix}captures": [str(source.files.capture)],
            f"{prefix}arrays": [str(source.files.arrays)],
            f"{prefix}reports": [str(source.files.report)],
            f"{prefix}maps": [str(source.files.maps)],
            f"{prefix}regularized": [str(source.regularized)],
            f"{prefix}textures": [str(source.texture)],
            f"{prefix}seen": [str(source.seen)],
        }

    settings = SETTINGS.model_copy(update={"epochs": 0.2}).model_dump(mode="json")
    stand_in = SimpleNamespace(
        input=SimpleNamespace(**files(toy), **files(other, "held_"), model=tmp_path / "model.npz"),
        output=SimpleNamespace(
            **{
                name: str(getattr(outputs_in(tmp_path), name))
                for name in TrainingOutputs.__dataclass_fields__
            }
        ),
        params=SimpleNamespace(
            names=["toy"],
            held_names=["toy"],
            scans=[""],
            held_scans=[""],
            settings=settings,
            folder=str(tmp_path / "run"),
            device="cpu",
        ),
        log=[str(tmp_path / "log.txt")],
        threads=1,
    )
    runpy.run_path(str(SCRIPT), init_globals={"snakemake": stand_in})
    assert load_network(tmp_path / "network.safetensors").spec.kind == "compact"
    assert json.loads((tmp_path / "summary.json").read_text())["steps"] >= 1


def test_scans_may_be_left_out(toy):
    source = toy.source
    lists = ([source.files.capture], [source.files.arrays], [source.files.report], [source.files.maps])
    found = list_sources(["a"], *lists, [source.regularized], [source.texture], [source.seen])
    assert found == [replace(source, files=replace(source.files, name="a"))]
