"""Validation of a training by the distances of a benchmark."""

import numpy as np
import pytest
import torch

from facemill.coarse.networks.coarse_network import spec_for
from facemill.coarse.training.batches import PackedShards
from facemill.coarse.training.protocol import ProtocolValidation
from facemill.coarse.training.train import train_coarse
from facemill.coarse.training_settings import NetworkSettings, TrainSettings
from facemill.geometry.closest_point import closest_points
from facemill.runtime.errors import PhotoError
from facemill.training.files import TrainingFiles, TrainingOutputs
from unit.coarse.training_toys import packed_shard, with_blendshapes

NETWORK = NetworkSettings(backbone="resnet18", width=8, reduction=4)


def without_alignment(true, true_landmarks, vertices, triangles, landmarks):
    assert true_landmarks.shape == landmarks.shape == (7, 3)
    return closest_points(true, vertices, triangles).distances


class Oracle(torch.nn.Module):
    """Says `share` of the true identity of the images, in their order."""

    def __init__(self, model, images, share):
        super().__init__()
        self.spec = spec_for(model, **NETWORK.model_dump(exclude={"dense_landmarks"}))
        self.place = torch.nn.Parameter(torch.zeros(1))
        identity = torch.from_numpy(np.stack([images[n]["identity"] for n in range(len(images))]))
        self.numbers = torch.zeros(len(images), self.spec.outputs)
        self.numbers[:, : identity.shape[1]] = share * identity

    def forward(self, pictures):
        return self.numbers[: len(pictures)]


@pytest.fixture(scope="module")
def model(toy_model):
    return with_blendshapes(toy_model)


@pytest.fixture(scope="module")
def shard(model, tmp_path_factory):
    return str(packed_shard(tmp_path_factory.mktemp("set") / "val", model, 6, seed=9))


def test_truth_has_no_distance_and_the_mean_face_that_of_the_floor(model, shard):
    images = PackedShards([shard])
    judge = ProtocolValidation(model, without_alignment, images, 6)
    right, half, mean = (judge(Oracle(model, images, share)) for share in (1.0, 0.5, 0.0))
    assert right["now_median"] < 1e-4
    assert mean["now_ratio"] == 1.0
    assert 0.2 < half["now_ratio"] < 0.9


def test_a_shape_that_is_no_face_costs_only_itself(model, shard, caplog):
    images = PackedShards([shard])
    called = []

    def refusing(true, *rest):
        called.append(true)
        if len(called) == 2:  # the first is the mean face's
            raise PhotoError("bad_landmarks", "no face")
        return without_alignment(true, *rest)

    measured = ProtocolValidation(model, refusing, images, 6)(Oracle(model, images, 1.0))
    assert measured["now_median"] < 1e-4
    assert "no face" in caplog.text


def test_a_training_writes_it_at_each_validation(model, shard, tmp_path):
    settings = TrainSettings(
        network=NETWORK, rendered_share=0.0, batch=4, epochs=1.0, validation_interval=1, pictures=0
    )
    outputs = TrainingOutputs(*(tmp_path / f"w.{ending}" for ending in ("safetensors", "csv", "png", "json")))
    files = TrainingFiles([str(packed_shard(tmp_path / "train", model, 8, seed=1))], [shard])
    device = torch.device("cpu")
    train_coarse(files, model, "toy", settings, tmp_path / "run", outputs, device, without_alignment)
    head, *rows = (tmp_path / "w.csv").read_text().splitlines()
    column = head.split(",").index("now_ratio")
    found = [row.split(",")[column] for row in rows if ",validation," in row]
    assert len(found) == 2
    assert all(float(value) > 0 for value in found)
