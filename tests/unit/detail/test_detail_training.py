"""Trainings of the detail network on toy faces: they learn, go on to the last bit, say what is wrong."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from facemill.detail.networks.files import load_network, save_network
from facemill.detail.prediction import Detail
from facemill.detail.training import validation as validation_module
from facemill.detail.training.augmentation import draw_augmentation
from facemill.detail.training.batches import PackedFaces, batch_from, collate
from facemill.detail.training.objective import DetailObjective
from facemill.detail.training.train import new_network, open_sets, train_detail, usual_scale
from facemill.detail.training.validation import calibrate, degrees_between, spread, validate
from facemill.detail.training_settings import (
    DetailAugmentationSettings,
    DetailSupervisedWeights,
    TrainDetailSettings,
)
from facemill.formats.checkpoints import read_pickled
from facemill.models.files import save_model
from facemill.runtime.errors import ConfigurationError, FormatError
from facemill.training import run as run_module
from facemill.training.files import TrainingFiles, TrainingOutputs
from facemill.training.run import TrainingError
from unit.detail.detail_toys import write_toy_shard

CPU = torch.device("cpu")
QUICK = TrainDetailSettings(
    network={"widths": (8, 12)}, batch=2, epochs=3, log_interval=1, validation_interval=3,
    checkpoint_interval=2, pictures=1, average=0.5, warmup_steps=0, precision="32",
    supervised={"finer_than": 0},
)  # fmt: skip


@pytest.fixture(scope="module")
def files(head_model, small_atlas, tmp_path_factory):
    place = tmp_path_factory.mktemp("sets")
    write_toy_shard(place / "train", head_model, small_atlas, 4)
    write_toy_shard(place / "val", head_model, small_atlas, 2, seed=5, name="other")
    return TrainingFiles([str(place / "train")], [str(place / "val")])


def results(folder: Path, name: str = "w") -> TrainingOutputs:
    return TrainingOutputs(*(folder / f"{name}.{ending}" for ending in ("safetensors", "csv", "png", "json")))


def losses_of(folder: Path) -> list[float]:
    with (folder / "metrics.csv").open(newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file) if row["kind"] == "train"]


def train(files, model, folder, name="w", settings=QUICK):
    train_detail(files, model, "head", settings, folder / name, results(folder, name), CPU)


def test_a_broken_run_goes_on_to_the_last_bit(head_model, files, tmp_path, monkeypatch):
    train(files, head_model, tmp_path, "whole")
    step = run_module.TrainingRun._step

    def interrupted(self, number, stored):
        if number == 4:  # two steps after the last checkpoint
            raise KeyboardInterrupt
        return step(self, number, stored)

    monkeypatch.setattr(run_module.TrainingRun, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(files, head_model, tmp_path, "broken")
    monkeypatch.undo()
    assert read_pickled(tmp_path / "broken" / "last.pth")["step"] == 2
    train(files, head_model, tmp_path, "broken")
    for ending in ("safetensors", "png", "json"):
        assert (tmp_path / f"whole.{ending}").read_bytes() == (tmp_path / f"broken.{ending}").read_bytes()
    assert losses_of(tmp_path / "whole") == losses_of(tmp_path / "broken")
    summary = json.loads((tmp_path / "whole.json").read_text())
    assert (summary["steps"], summary["images"], summary["validation_images"]) == (6, 4, 2)
    assert {"displacement_ratio", "normal_ratio", "floor", "span", "confidence"} <= summary.keys()
    network = load_network(tmp_path / "whole.safetensors", "head", head_model.topology)
    assert network.spec.widths == (8, 12) and (network.spec.size, network.spec.window[2:]) == (
        256,
        (256, 192),
    )
    with pytest.raises(TrainingError, match="belongs to another training"):
        train(files, head_model, tmp_path, "whole", QUICK.model_copy(update={"seed": 5}))


def test_one_photo_is_overfitted(head_model, small_atlas, files, tmp_path):
    """A network shown one face again and again finds its relief, and becomes sure of it."""
    only = PackedFaces(files.train, names=frozenset({"toy_0_2"}))
    assert len(only) == 1
    still = DetailAugmentationSettings(gain=0, flip=0, degraded=0, erased=0)
    settings = QUICK.model_copy(update={"augmentation": still})
    objective = DetailObjective(head_model, small_atlas, settings, None)
    torch.manual_seed(0)
    network = new_network(settings, only, objective, "head")
    before = validate(network, objective, only, 1)
    batch, drawn = batch_from(collate([only[0]]), CPU), draw_augmentation([0], still)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    scene = objective.scene(batch, drawn)
    for _ in range(100):
        loss = objective.loss(objective.output(network, scene.inputs), scene.maps, batch).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    after = validate(network, objective, only, 1)
    assert before["displacement_ratio"] == pytest.approx(1) and before["confidence"] < 1e-4
    assert after["displacement_ratio"] < 0.5 and after["normal_ratio"] < 0.6
    assert after["confidence"] > 0.3 and after["loss"] < before["loss"]


def test_calibration_leaves_nothing_where_nothing_is_seen(head_model, small_atlas, files):
    faces = PackedFaces(files.train)
    objective = DetailObjective(head_model, small_atlas, QUICK, None)
    torch.manual_seed(0)
    network = new_network(QUICK, faces, objective, "head")
    with torch.no_grad():  # a network that claims to know half of everything, everywhere
        network.end.bias[4:] = 3 * np.arctanh(np.log(0.5) / 3) / 0.2
    claimed = validate(network, objective, faces, 2)
    assert claimed["confidence"] > 0.3
    found = calibrate(network, objective, faces, 2)
    assert found["floor"] == pytest.approx(0.5, abs=0.01)
    assert validate(network, objective, faces, 2)["confidence"] < 0.02


def test_the_widest_span_is_chosen_that_costs_hardly_anything(head_model, small_atlas, files, monkeypatch):
    faces = PackedFaces(files.train)
    objective = DetailObjective(head_model, small_atlas, QUICK, None)
    network = new_network(QUICK, faces, objective, "head")
    errors = {0.05: 1.0, 0.1: 1.001, 0.2: 1.01, 0.3: 1.1, 0.5: 1.2}  # km: relief is nothing beside them

    def found(network, output, evidence, mask):
        error = errors[round(float(network.span), 2)]
        return Detail(torch.full_like(evidence, 1e6 * error), evidence)

    monkeypatch.setattr(validation_module, "detail_of", found)
    assert calibrate(network, objective, faces, 2)["span"] == pytest.approx(0.1)


def test_calibration_without_labels_keeps_the_span(head_model, small_atlas, tmp_path):
    write_toy_shard(tmp_path / "shard", head_model, small_atlas, 2, labelled=False)
    faces = PackedFaces([tmp_path / "shard"])
    objective = DetailObjective(head_model, small_atlas, QUICK, None)
    network = new_network(QUICK, faces, objective, "head")
    network.span.fill_(0.3)
    assert calibrate(network, objective, faces, 2)["span"] == pytest.approx(0.3)


def test_what_is_usual_is_read_from_the_faces(head_model, small_atlas, files):
    faces = PackedFaces(files.train)
    found = usual_scale(faces, DetailObjective(head_model, small_atlas, QUICK, None), (8, 6))
    assert found.shape == (8, 6)
    target = np.abs(np.stack([faces[n]["target"].astype(float) for n in range(4)])) * 1e-4
    mask = small_atlas.mask.numpy()
    square = (slice(96, 128), slice(64, 96))  # (3, 2), of 32 texels
    expected = (target * mask)[:, *square][:, mask[square] > 0].mean()
    assert float(found[3, 2]) == pytest.approx(max(expected, 0.01), rel=1e-4)


def test_angles_and_places():
    assert degrees_between(torch.tensor([0.0, 0, 1]), torch.tensor([0.0, 1, 0])) == pytest.approx(90)
    assert degrees_between(torch.tensor([0.0, 0, 1]), torch.tensor([0.0, 1e-4, 1])) == pytest.approx(
        np.degrees(1e-4), rel=1e-3
    )
    assert spread(list(range(10)), 4) == [0, 2, 5, 7] and spread([1], 9) == [0]


def test_sets_that_cannot_be_trained_on_are_named(head_model, small_atlas, files, tmp_path):
    with pytest.raises(ConfigurationError, match="0 faces are too few"):
        train(TrainingFiles([], files.validation), head_model, tmp_path)
    write_toy_shard(tmp_path / "one", head_model, small_atlas, 1)
    with pytest.raises(ConfigurationError, match="1 face is too few"):
        train(TrainingFiles([str(tmp_path / "one")], files.validation), head_model, tmp_path)
    with pytest.raises(ConfigurationError, match="no face to validate on"):
        train(TrainingFiles(files.train, files.train), head_model, tmp_path)
    other = tmp_path / "other"
    write_toy_shard(other, head_model, small_atlas, 2)
    np.save(other / "window.npy", np.array([512, 0, 0, 512, 384]))
    with pytest.raises(ConfigurationError, match="validation: the faces were packed for another"):
        train(TrainingFiles(files.train, [str(other)]), head_model, tmp_path)
    with pytest.raises(FormatError, match="do not fit together"):
        train(TrainingFiles([*files.train, str(other)], files.validation), head_model, tmp_path)


@pytest.mark.parametrize("fault", ["torn", "missing", "pickle", "short"])
def test_shards_that_are_not_whole_are_named(head_model, small_atlas, tmp_path, fault):
    folder = tmp_path / "shard"
    write_toy_shard(folder, head_model, small_atlas, 2)
    path = folder / "target.npy"
    if fault == "torn":
        path.write_bytes(path.read_bytes()[:-100])
    elif fault == "missing":
        path.unlink()
    elif fault == "pickle":
        np.save(path, np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    else:
        np.save(path, np.load(path)[:1])
    with pytest.raises(FormatError, match=r"target\.npy|different length"):
        PackedFaces([folder])


def test_held_out_photos_are_validated_on_and_not_trained_on(head_model, files, tmp_path):
    held_out = frozenset({"toy_0_1"})
    train(TrainingFiles(files.train, files.train, held_out), head_model, tmp_path)
    summary = json.loads((tmp_path / "w.json").read_text())
    assert (summary["images"], summary["validation_images"]) == (3, 1)


def test_sets_that_are_only_validated_on_keep_all_their_faces(head_model, small_atlas, files, tmp_path):
    write_toy_shard(tmp_path / "others", head_model, small_atlas, 2, seed=5, name="other")
    both = TrainingFiles(files.train, [*files.train, str(tmp_path / "others")], frozenset({"toy_0_1"}))
    validated = open_sets(both, QUICK).validation
    found = [validated.photo(number) for number in range(len(validated))]
    assert found == ["toy_0_1", "other_5_0", "other_5_1"]


@pytest.mark.parametrize("value", [0.5, 1e-3])
def test_a_mean_over_one_texel_is_refused(value):
    with pytest.raises(ValidationError, match="1 mm and more"):
        DetailSupervisedWeights(finer_than=value)


def test_training_starts_from_weights(head_model, small_atlas, files, tmp_path):
    faces = PackedFaces(files.train)
    torch.manual_seed(7)
    objective = DetailObjective(head_model, small_atlas, QUICK, None)
    network = new_network(QUICK, faces, objective, "head")
    torch.nn.init.normal_(network.end.weight, std=0.1)
    start = tmp_path / "start.safetensors"
    save_network(start, network, "head", head_model.topology)
    settings = QUICK.model_copy(update={"start": str(start), "epochs": 0.1, "learning_rate": 1e-9})
    train(files, head_model, tmp_path, "w", settings)
    found = load_network(tmp_path / "w.safetensors", "head", head_model.topology)
    torch.testing.assert_close(found.end.weight, network.end.weight, rtol=1e-2, atol=1e-3)
    wide = settings.network.model_copy(update={"widths": (8, 16)})
    with pytest.raises(ConfigurationError, match="not that of the weights to start from"):
        new_network(settings.model_copy(update={"network": wide}), faces, objective, "head")


PROGRAM = """
import sys
from pathlib import Path
import torch
from facemill.detail.training.train import train_detail
from facemill.detail.training_settings import TrainDetailSettings
from facemill.models.files import load_model
from facemill.training.files import TrainingFiles, TrainingOutputs

torch.set_num_threads(1)
if __name__ == "__main__":
    folder, model, settings, train, validation = sys.argv[1:]
    place = Path(folder)
    outputs = TrainingOutputs(*(place / name for name in ("w.safetensors", "w.csv", "w.png", "w.json")))
    train_detail(
        TrainingFiles([train], [validation]), load_model(model), "head",
        TrainDetailSettings.model_validate_json(settings), place / "run", outputs, torch.device("cpu"),
    )
"""


def start_training(folder, files, model, settings):
    (folder / "training.py").write_text(PROGRAM)
    command = [sys.executable, str(folder / "training.py"), str(folder), str(model)]
    command += [settings.model_dump_json(), *files.train, *files.validation]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL, env={**os.environ})


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_last_bit(head_model, files, tmp_path):
    save_model(tmp_path / "model.npz", head_model)
    settings = QUICK.model_copy(update={"epochs": 6, "checkpoint_interval": 1})
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
    assert start_training(whole, files, tmp_path / "model.npz", settings).wait(600) == 0
    killed = start_training(broken, files, tmp_path / "model.npz", settings)
    begun = time.monotonic()
    while not (broken / "run" / "last.pth").is_file() and time.monotonic() - begun < 300:
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not (broken / "w.safetensors").exists()
    assert start_training(broken, files, tmp_path / "model.npz", settings).wait(600) == 0
    for name in ("w.safetensors", "w.png", "w.json"):
        assert (whole / name).read_bytes() == (broken / name).read_bytes(), name


@pytest.mark.slow
def test_two_processes_compute_what_one_does(head_model, files, tmp_path):
    save_model(tmp_path / "model.npz", head_model)
    for count in (1, 2):
        folder = tmp_path / str(count)
        folder.mkdir()
        settings = QUICK.model_copy(update={"processes": count, "epochs": 2})
        assert start_training(folder, files, tmp_path / "model.npz", settings).wait(900) == 0
    networks = [
        load_network(tmp_path / str(count) / "w.safetensors", "head", head_model.topology) for count in (1, 2)
    ]
    for name, value in networks[0].state_dict().items():
        torch.testing.assert_close(networks[1].state_dict()[name], value, rtol=2e-2, atol=2e-3)
