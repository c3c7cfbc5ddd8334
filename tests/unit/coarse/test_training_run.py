"""Whole trainings on toy faces: they learn, go on to the last bit, and stop with a reason."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from facemill.coarse.networks.coarse_network import (
    CoarseNetwork,
    NetworkSpec,
    coefficients_of,
    prediction_of,
)
from facemill.coarse.networks.files import load_network, save_network
from facemill.coarse.networks.identity_network import load_identity
from facemill.coarse.training.batches import PackedShards, batch_from, collate
from facemill.coarse.training.labels import label_maker
from facemill.coarse.training.objective import TrainingObjective, network_input
from facemill.coarse.training.train import train_coarse
from facemill.coarse.training_settings import (
    AugmentationSettings,
    HybridWeights,
    SupervisedWeights,
)
from facemill.formats.checkpoints import read_pickled, write_pickled
from facemill.models.files import save_model
from facemill.runtime.errors import ConfigurationError
from facemill.runtime.locks import FolderInUseError, lock_folder
from facemill.runtime.storage import StorageError
from facemill.training import checkpoints
from facemill.training import run as run_module
from facemill.training.files import TrainingFiles
from facemill.training.held_out import held_out_photos
from facemill.training.run import TrainingError
from unit.coarse.training_toys import (
    NETWORK,
    QUICK,
    losses_of,
    packed_shard,
    results,
    rows_of,
    toy_spec,
    training_script,
    with_blendshapes,
)

CPU = torch.device("cpu")
PATIENCE = 3600  # s, for a training of minutes on a machine that does much else


@pytest.fixture(scope="module")
def model(toy_model):
    return with_blendshapes(toy_model)


@pytest.fixture(scope="module")
def files(model, tmp_path_factory):
    place = tmp_path_factory.mktemp("sets")
    train = [str(packed_shard(place / f"train{n}", model, 12, seed=n)) for n in (1, 2)]
    return TrainingFiles(train, [str(packed_shard(place / "val", model, 6, seed=9))])


def test_a_training_learns_and_leaves_what_it_promises(model, files, tmp_path):
    # Toy faces have two unlike halves, which mirroring would mix up.
    still = AugmentationSettings(shift=0, scale=0, rotation=0, flip=0)
    settings = QUICK.model_copy(update={"epochs": 30.0, "augmentation": still})
    shutil.copytree(files.train[0], tmp_path / "seen")  # 24 faces teach little about others
    seen = TrainingFiles(files.train, [str(tmp_path / "seen")])
    train_coarse(seen, model, "toy", settings, tmp_path / "run", results(tmp_path, "w"), CPU)
    losses = losses_of(tmp_path / "run")
    assert len(losses) == 90
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:3])
    validation = rows_of(tmp_path / "run", "validation")
    errors = [float(row["landmark_error"]) for row in validation]
    assert errors[-1] < 0.7 * errors[0]
    assert float(validation[-1]["shape_ratio"]) < 0.8
    summary = json.loads((tmp_path / "w.json").read_text())
    assert (summary["steps"], summary["images"], summary["validation_images"]) == (90, 24, 12)
    assert list((tmp_path / "run" / "pictures").glob("*.png"))
    assert list((tmp_path / "run" / "tensorboard").glob("events*"))
    network = load_network(tmp_path / "w.safetensors", model, "toy")
    best = read_pickled(tmp_path / "run" / summary["weights"])["average"]
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, best[name], rtol=2e-3, atol=1e-3)


def test_a_broken_run_goes_on_to_the_last_bit(model, files, tmp_path, monkeypatch):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train_coarse(files, model, "toy", QUICK, whole, results(tmp_path, "whole"), CPU)
    step = run_module.TrainingRun._step

    def interrupted(self, number, batch):
        if number == 8:  # two steps after the last checkpoint
            raise KeyboardInterrupt
        return step(self, number, batch)

    monkeypatch.setattr(run_module.TrainingRun, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_coarse(files, model, "toy", QUICK, broken, results(tmp_path, "broken"), CPU)
    monkeypatch.undo()
    assert read_pickled(broken / "last.pth")["step"] == 6
    train_coarse(files, model, "toy", QUICK, broken, results(tmp_path, "broken"), CPU)
    assert (tmp_path / "whole.safetensors").read_bytes() == (tmp_path / "broken.safetensors").read_bytes()
    ends = [read_pickled(folder / "last.pth") for folder in (whole, broken)]
    for part in ("net_recon", "average"):
        for name, value in ends[0][part].items():
            assert torch.equal(value, ends[1][part][name]), name
    assert losses_of(whole) == losses_of(broken)
    ours, theirs = results(tmp_path, "whole"), results(tmp_path, "broken")
    assert Path(ours.faces).read_bytes() == Path(theirs.faces).read_bytes()
    assert Path(ours.summary).read_text() == Path(theirs.summary).read_text()
    tables = [pd.read_csv(one.metrics) for one in (ours, theirs)]
    assert list(tables[0]["kind"]).count("validation") == 3 and len(tables[0]) == 15
    pd.testing.assert_frame_equal(*(table.drop(columns="images_per_second") for table in tables))


def test_other_settings_do_not_go_on(model, files, tmp_path):
    short = QUICK.model_copy(update={"epochs": 1.0})
    train_coarse(files, model, "toy", short, tmp_path / "run", results(tmp_path, "w"), CPU)
    with pytest.raises(TrainingError, match="belongs to another training"):
        train_coarse(
            files,
            model,
            "toy",
            short.model_copy(update={"seed": 5}),
            tmp_path / "run",
            results(tmp_path, "w"),
            CPU,
        )
    longer = short.model_copy(update={"epochs": 2.0})
    train_coarse(files, model, "toy", longer, tmp_path / "run", results(tmp_path, "w"), CPU)
    assert read_pickled(tmp_path / "run" / "last.pth")["step"] == 6


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_batch(model, files, tmp_path, monkeypatch):
    call = TrainingObjective.__call__

    def broken(self, numbers, batch):
        loss = call(self, numbers, batch)
        return run_module.StepLoss(loss.loss * torch.nan, loss.terms)

    monkeypatch.setattr(TrainingObjective, "__call__", broken)
    with pytest.raises(TrainingError, match="step 1 is no number"):
        train_coarse(files, model, "toy", QUICK, tmp_path / "run", results(tmp_path, "w"), CPU)
    with np.load(tmp_path / "run" / "bad_batch_0.npz") as kept:
        assert kept["crops"].shape == (8, 56, 56, 3)
        assert str(kept["photo"][0]).startswith("face_")
    assert not (tmp_path / "run" / "last.pth").exists()


def test_a_full_disk_costs_a_checkpoint_but_never_ends_in_old_weights(
    model, files, tmp_path, monkeypatch, caplog
):
    def full(path, content):
        if content["step"] > 2:
            raise StorageError(f"{path} cannot be written", "room for it", "no space left", "make room")
        write_pickled(path, content)

    once = QUICK.model_copy(update={"epochs": 2.0, "validation_interval": 100})
    train_coarse(files, model, "toy", once, tmp_path / "whole", results(tmp_path, "whole"), CPU)
    for module in (run_module, checkpoints):
        monkeypatch.setattr(module, "write_pickled", full)
    with pytest.raises(StorageError, match=r"best\.pth cannot be written"):
        train_coarse(files, model, "toy", once, tmp_path / "run", results(tmp_path, "w"), CPU)
    assert read_pickled(tmp_path / "run" / "last.pth")["step"] == 2
    assert "the checkpoint before stays" in caplog.text
    assert not (tmp_path / "w.safetensors").exists()
    monkeypatch.undo()
    train_coarse(files, model, "toy", once, tmp_path / "run", results(tmp_path, "w"), CPU)
    assert (tmp_path / "w.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()


def test_sigterm_leaves_a_checkpoint_from_which_the_same_bytes_come(model, files, tmp_path, monkeypatch):
    train_coarse(files, model, "toy", QUICK, tmp_path / "whole", results(tmp_path, "whole"), CPU)
    step = run_module.TrainingRun._step

    def interrupted(self, number, batch):
        if number == 5:  # between two checkpoints
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, number, batch)

    monkeypatch.setattr(run_module.TrainingRun, "_step", interrupted)
    with pytest.raises(SystemExit) as end:
        train_coarse(files, model, "toy", QUICK, tmp_path / "run", results(tmp_path, "w"), CPU)
    assert end.value.code == 143
    monkeypatch.undo()
    assert read_pickled(tmp_path / "run" / "last.pth")["step"] == 5
    train_coarse(files, model, "toy", QUICK, tmp_path / "run", results(tmp_path, "w"), CPU)
    assert (tmp_path / "w.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    assert losses_of(tmp_path / "run") == losses_of(tmp_path / "whole")


def test_a_second_training_in_one_folder_is_refused(model, files, tmp_path):
    with (
        lock_folder(tmp_path / "run"),
        pytest.raises(FolderInUseError, match=rf"in use(.|\n)*process {os.getpid()} on"),
    ):
        train_coarse(files, model, "toy", QUICK, tmp_path / "run", results(tmp_path, "w"), CPU)


def test_sets_that_cannot_be_trained_on_are_named(model, files, tmp_path):
    def train(given, settings=QUICK):
        train_coarse(given, model, "toy", settings, tmp_path / "run", results(tmp_path, "w"), CPU)

    with pytest.raises(ConfigurationError, match="0 images are too few"):
        train(TrainingFiles([], files.validation))
    one = packed_shard(tmp_path / "one", model, 1)
    with pytest.raises(ConfigurationError, match="1 images are too few"):
        train(TrainingFiles([str(one)], files.validation))
    with pytest.raises(ConfigurationError, match="no image to validate on"):
        train(TrainingFiles(files.train, files.train))
    unlabelled = packed_shard(tmp_path / "unlabelled", model, 4)
    np.save(unlabelled / "labelled.npy", np.zeros(4, dtype=bool))
    with pytest.raises(ConfigurationError, match="nothing to learn from"):
        train(TrainingFiles([str(unlabelled)], [str(unlabelled)], frozenset({"face_0_000"})))


def test_held_out_photos_are_validated_on_and_not_trained_on(model, tmp_path):
    shard = packed_shard(tmp_path / "shard", model, 6)
    (tmp_path / "val.csv").write_text("photo,shard,file\nface_0_001,0000,a.jpg\nface_0_004,0000,b.jpg\n")
    held_out = held_out_photos([tmp_path / "val.csv"])
    settings = QUICK.model_copy(update={"epochs": 2.0, "batch": 4})
    files = TrainingFiles([str(shard)], [str(shard)], held_out)
    train_coarse(files, model, "toy", settings, tmp_path / "run", results(tmp_path, "w"), CPU)
    summary = json.loads((tmp_path / "w.json").read_text())
    assert (summary["images"], summary["validation_images"]) == (4, 2)
    assert summary["validation_seen"] is False


def test_training_starts_from_weights(model, files, tmp_path):
    torch.manual_seed(3)
    spec = toy_spec(model)
    network = CoarseNetwork(spec)
    torch.nn.init.normal_(network.final_layers[0].bias)
    save_network(tmp_path / "start.safetensors", network, "toy")
    settings = QUICK.model_copy(
        update={"start": str(tmp_path / "start.safetensors"), "epochs": 0.1, "learning_rate": 1e-9}
    )
    train_coarse(files, model, "toy", settings, tmp_path / "run", results(tmp_path, "w"), CPU)
    found = load_network(tmp_path / "w.safetensors", model, "toy")
    torch.testing.assert_close(found.final_layers[0].bias, network.final_layers[0].bias, rtol=1e-2, atol=1e-3)
    dense = settings.model_copy(update={"network": NETWORK.model_copy(update={"dense_landmarks": True})})
    bare = packed_shard(tmp_path / "bare", model, 6)
    np.save(bare / "dense_landmarks.npy", np.zeros((6, 0, 2), dtype=np.float32))
    np.save(bare / "dense_vertices.npy", np.zeros(0, dtype=np.int64))
    with pytest.raises(ConfigurationError, match="nothing to learn them from"):
        train_coarse(
            TrainingFiles([str(bare)], files.validation), model, "toy", dense, tmp_path / "none",
            results(tmp_path), CPU,
        )  # fmt: skip
    wide = settings.model_copy(update={"network": NETWORK.model_copy(update={"width": 16})})
    with pytest.raises(ConfigurationError, match=r"network\.width is not that"):
        train_coarse(files, model, "toy", wide, tmp_path / "other", results(tmp_path, "w"), CPU)


def objective_for(model, settings, dense=()):
    spec = toy_spec(model, dense)
    return TrainingObjective(model, spec, settings, label_maker(model), None)


def batch_of(files, numbers):
    images = PackedShards(files.train)
    return batch_from(collate([images[n] for n in numbers]), CPU)


def test_the_hybrid_loss_overfits_one_photo(model, files):
    """The network's numbers alone, without labels: every published term together explains one face."""
    settings = QUICK.model_copy(update={"rendered_share": 1.0})
    objective = objective_for(model, settings)
    batch = batch_of(files, [0])
    unlabelled = type(batch)(**{**vars(batch), "labelled": torch.zeros(1, dtype=torch.bool)})
    numbers = torch.zeros(1, sum(objective.spec.widths), requires_grad=True)
    optimiser = torch.optim.Adam([numbers], lr=0.02)
    values = []
    for _ in range(120):
        loss = objective(numbers, unlabelled)
        optimiser.zero_grad()
        loss.loss.backward()
        optimiser.step()
        values.append((float(loss.terms["photometric"]), float(loss.terms["landmark"])))
    assert values[-1][0] < 0.3 * values[0][0]
    assert values[-1][1] < 0.1 * values[0][1]
    assert "true_shape" not in loss.terms


@pytest.mark.parametrize("name", SupervisedWeights.model_fields)
def test_each_supervised_term_falls_when_it_alone_is_optimised(model, files, name):
    weights = SupervisedWeights(**{n: float(n == name) for n in SupervisedWeights.model_fields})
    vertices = PackedShards(files.train).dense_vertices
    objective = objective_for(model, QUICK.model_copy(update={"supervised": weights}), vertices)
    batch = batch_of(files, [0, 5, 7])
    numbers = torch.zeros(3, objective.spec.outputs, requires_grad=True)
    optimiser = torch.optim.Adam([numbers], lr=0.02)
    first = None
    for _ in range(60):
        loss = objective(numbers, batch).loss
        first = loss.item() if first is None else first
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.3 * first


def test_photos_without_labels_do_not_count_in_supervised_terms(model, files):
    objective = objective_for(model, QUICK)
    batch = batch_of(files, [0, 5])
    numbers = torch.randn(2, sum(objective.spec.widths), generator=torch.Generator().manual_seed(0))
    half = type(batch)(**{**vars(batch), "labelled": torch.tensor([True, False])})
    alone = objective(numbers[:1], batch.select(slice(0, 1)))
    both = objective(numbers, half)
    torch.testing.assert_close(both.loss, alone.loss / 2)  # the mean over both photos
    for name, value in alone.terms.items():
        torch.testing.assert_close(both.terms[name], value)


def test_the_truth_costs_nothing(model, files):
    objective = objective_for(model, QUICK)
    batch = batch_of(files, [0, 5])
    spec = objective.spec
    lighting = torch.zeros(2, 27)
    numbers = torch.cat(
        (batch.identity, batch.strengths, torch.zeros(2, spec.albedo), batch.rotation, lighting,
         batch.translation / 100), dim=1,
    )  # fmt: skip
    assert objective(numbers, batch).loss < 1e-3
    coefficients = coefficients_of(prediction_of(numbers, spec), spec, model)
    torch.testing.assert_close(coefficients.expression, batch.strengths)


def test_crops_smaller_than_the_network_sees_are_refused():
    spec = NetworkSpec(1, 1, 1, reduction=2)
    with pytest.raises(ValueError, match="reduction"):
        network_input(torch.zeros(1, 56, 56, 3), spec)
    assert network_input(torch.rand(1, 224, 224, 3), spec).shape == (1, 3, 112, 112)


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_weights(model, files, tmp_path, repository):
    """kill -9 twice, after a checkpoint each: weights and losses are those of an unbroken run, bit by bit."""
    save_model(tmp_path / "model.npz", model)
    environment = {**os.environ, "PYTHONPATH": str(repository / "src"), "OMP_NUM_THREADS": "1"}
    lists = ",".join(files.train) + ";" + files.validation[0]
    settings = QUICK.model_copy(update={"epochs": 60.0, "network": NETWORK}).model_dump_json()
    command = [sys.executable, str(training_script(tmp_path)), settings, str(tmp_path), lists]
    subprocess.run([*command, "whole"], check=True, env=environment, timeout=PATIENCE)
    kills = 0
    for least in (20, 90):
        process = subprocess.Popen([*command, "killed"], env=environment)
        checkpoint = tmp_path / "runkilled" / "last.pth"
        while process.poll() is None:
            if checkpoint.is_file() and read_pickled(checkpoint)["step"] >= least:
                process.kill()
                kills += process.wait() == -signal.SIGKILL
            time.sleep(0.01)
    assert kills == 2
    subprocess.run([*command, "killed"], check=True, env=environment, timeout=PATIENCE)
    assert (tmp_path / "wkilled.safetensors").read_bytes() == (tmp_path / "wwhole.safetensors").read_bytes()
    assert (tmp_path / "wkilled.png").read_bytes() == (tmp_path / "wwhole.png").read_bytes()
    killed, whole = (pd.read_csv(tmp_path / f"w{name}.csv") for name in ("killed", "whole"))
    pd.testing.assert_frame_equal(*(rows.drop(columns="images_per_second") for rows in (killed, whole)))


@pytest.mark.slow
def test_two_processes_train_as_one(model, files, tmp_path, repository):
    """DDP over gloo: the same losses with the same global batch, norms over both processes included."""
    save_model(tmp_path / "model.npz", model)
    script = training_script(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(repository / "src"), "OMP_NUM_THREADS": "1"}
    lists = ",".join(files.train) + ";" + files.validation[0]
    for processes in (1, 2):
        settings = QUICK.model_copy(update={"processes": processes, "learning_rate": 1e-4}).model_dump_json()
        command = [sys.executable, str(script), settings, str(tmp_path), lists, str(processes)]
        subprocess.run(command, check=True, env=environment, timeout=PATIENCE)
    one, two = losses_of(tmp_path / "run1"), losses_of(tmp_path / "run2")
    np.testing.assert_allclose(two, one, rtol=1e-4)


def test_the_perceptual_term_is_computed_on_renders(model, files, repository):
    identity = load_identity(repository / "resources" / "weights" / "identity.safetensors")
    settings = QUICK.model_copy(update={"rendered_share": 1.0, "hybrid": HybridWeights()})
    objective = TrainingObjective(model, toy_spec(model), settings, label_maker(model), identity)
    numbers = torch.zeros(2, sum(objective.spec.widths), requires_grad=True)
    found = objective(numbers, batch_of(files, [0, 5]))
    assert 0 < found.terms["perceptual"] < 2
    found.loss.backward()
    assert numbers.grad.isfinite().all()
