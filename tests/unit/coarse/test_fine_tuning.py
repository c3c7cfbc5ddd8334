"""Fine-tuning from weights with dense landmarks on photos without labels, all of them validated on too."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from facemill.coarse.networks.coarse_network import CoarseNetwork, prediction_of, unknowns_of
from facemill.coarse.networks.files import load_network, save_network
from facemill.coarse.training import objective as objective_module
from facemill.coarse.training.batches import PackedShards, batch_from, collate
from facemill.coarse.training.labels import label_maker
from facemill.coarse.training.train import train_coarse
from facemill.coarse.training_settings import AugmentationSettings, HybridWeights
from facemill.faces.decode import FaceDecoder
from facemill.training.files import TrainingFiles
from facemill.training.run import TrainingError
from unit.coarse.test_training_run import CPU, NETWORK, QUICK, results, toy_spec
from unit.coarse.training_toys import packed_shard, with_blendshapes


@pytest.fixture
def model(toy_model):
    return with_blendshapes(toy_model)


@pytest.fixture
def tuned(model, tmp_path, caplog):
    """A network with dense landmarks, fine-tuned without labels: start, result, metrics, log."""
    shard = packed_shard(tmp_path / "photos", model, 6)
    np.save(shard / "labelled.npy", np.zeros(6, dtype=bool))
    np.save(shard / "dense_landmarks.npy", np.zeros((6, 0, 2), dtype=np.float32))
    np.save(shard / "dense_vertices.npy", np.zeros(0, dtype=np.int64))
    torch.manual_seed(3)
    start = CoarseNetwork(toy_spec(model, model.topology.landmarks68[[30, 8]].tolist()))
    torch.nn.init.normal_(start.dense_head.numbers.weight, std=0.1)
    crops = torch.from_numpy(np.load(shard / "crops.npy")) / 255
    for _ in range(50):  # norms that know their features, as those of a trained network do
        start.train()(crops.permute(0, 3, 1, 2))
    save_network(tmp_path / "start.safetensors", start, "toy")
    settings = QUICK.model_copy(
        update={
            "network": NETWORK.model_copy(update={"dense_landmarks": True}),
            "start": str(tmp_path / "start.safetensors"),
            "validation": ("photos",),
            "hybrid": HybridWeights(perceptual=0),
            "rendered_share": 1.0,
            "freeze_norms": True,
            "augmentation": AugmentationSettings(shift=0, scale=0, rotation=0, flip=0),
            "batch": 2,
            "epochs": 4.0,
            "pictures": 0,
        }
    )
    files = TrainingFiles([str(shard)], [str(shard)])
    with caplog.at_level("INFO"):
        train_coarse(files, model, "toy", settings, tmp_path / "run", results(tmp_path), CPU)
    first, last = (load_network(tmp_path / f"{n}.safetensors", model, "toy") for n in ("start", "w"))
    return first.state_dict(), last.state_dict(), pd.read_csv(tmp_path / "w.csv"), caplog.text


def test_fine_tuning_on_photos_without_labels_keeps_dense_head_and_norms(tuned):
    first, last, metrics, _ = tuned
    kept = [name for name in first if name.startswith("dense_head.") or "running_" in name]
    assert any(name.startswith("dense_head.") for name in kept) and len(kept) > 10
    for name in kept:
        assert torch.equal(first[name], last[name]), name
    assert not torch.equal(first["final_layers.0.weight"], last["final_layers.0.weight"])
    assert not {"dense_landmarks", "dense_error", "true_shape"} & set(metrics)


def test_a_training_that_starts_from_weights_is_validated_before_its_first_step(tuned):
    rows = tuned[2].set_index("step")
    validation = rows[rows["kind"] == "validation"]["landmark_error"]
    assert list(validation.index) == [0, 4, 8, 12]
    assert validation[12] < validation[0]
    losses = rows[rows["kind"] == "train"]["loss"]
    assert losses.iloc[-3:].mean() < losses.iloc[:3].mean()


def test_sets_that_hold_out_nothing_are_validated_on_themselves_and_say_so(tuned, tmp_path):
    assert "none of the images is held out" in tuned[3]
    summary = json.loads((tmp_path / "w.json").read_text())
    assert summary["validation_seen"] is True
    assert (summary["images"], summary["validation_images"], summary["steps"]) == (6, 6, 12)


def test_a_sheet_of_faces_is_drawn_even_when_validation_draws_none(tuned, tmp_path):
    assert not (tmp_path / "run" / "pictures").exists()
    with Image.open(tmp_path / "w.png") as sheet:
        assert sheet.size == (3 * 224, 224)
        assert len(sheet.getcolors(1 << 20)) > 100


def test_other_first_weights_are_another_training_wherever_they_lie(model, tmp_path):
    files = TrainingFiles(
        [str(packed_shard(tmp_path / "a", model, 8))], [str(packed_shard(tmp_path / "b", model, 2, seed=1))]
    )
    network = CoarseNetwork(toy_spec(model))
    for name in ("first", "moved", "other"):
        if name == "other":
            torch.nn.init.normal_(network.final_layers[0].bias)
        save_network(tmp_path / f"{name}.safetensors", network, "toy")

    def train(name, epochs):
        update = {"start": str(tmp_path / f"{name}.safetensors"), "epochs": epochs}
        settings = QUICK.model_copy(update=update)
        train_coarse(files, model, "toy", settings, tmp_path / "run", results(tmp_path), CPU)

    train("first", 1.0)
    train("moved", 2.0)
    assert json.loads((tmp_path / "w.json").read_text())["steps"] == 2
    with pytest.raises(TrainingError, match="belongs to another training"):
        train("other", 3.0)


def test_photos_are_measured_against_what_their_detector_sees(model, tmp_path, monkeypatch):
    """Of the mean face: a labelled image is compared with the model's landmarks, others with moved ones."""
    offsets = 5 * torch.randn(68, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    monkeypatch.setattr(objective_module, "landmark_offsets", lambda topology, convention: offsets)
    objective = objective_module.TrainingObjective(model, toy_spec(model), QUICK, label_maker(model), None)
    shard = PackedShards([packed_shard(tmp_path / "shard", model, 2)])
    batch = batch_from(collate([shard[0], shard[1]]), CPU)
    numbers = torch.zeros(2, objective.spec.outputs)
    numbers[:, -27 - 3 - 3 : -27 - 3] = torch.tensor([0.1, 0.2, -0.1])  # turned: offsets turn along
    mean = unknowns_of(prediction_of(numbers, objective.spec), objective.spec)
    own = FaceDecoder(objective.space.model)(mean).landmarks[0]
    seen = FaceDecoder(objective.space.model, landmark_offsets=offsets)(mean).landmarks[1]
    batch = replace(batch, landmarks=torch.stack((own, seen)), labelled=torch.tensor([True, False]))
    assert (own - seen).norm(dim=1).mean() > 2
    torch.testing.assert_close(
        objective.measures(numbers, batch)["landmark_error"], torch.zeros(2), rtol=0, atol=1e-5
    )
