"""A network remembers which crop camera its poses are about, and everything that reads it uses that one."""

import numpy as np
import pytest
import torch

from facemill.coarse.fitting import Fitter
from facemill.coarse.networks.coarse_network import CoarseNetwork, prediction_of, spec_for, unknowns_of
from facemill.coarse.networks.files import load_network, save_network
from facemill.coarse.settings import CoarseSettings
from facemill.coarse.training.batches import PackedShards, batch_from, collate
from facemill.coarse.training.objective import TrainingObjective
from facemill.coarse.training.train import train_coarse
from facemill.coarse.training_settings import HybridWeights
from facemill.formats.checkpoints import read_weights, write_weights
from facemill.geometry.camera import deep3d_crop_camera, project
from facemill.geometry.rotation import matrix_from_euler_deep3d
from facemill.runtime.errors import ConfigurationError
from facemill.training.files import TrainingFiles
from unit.coarse.test_training_run import CPU, NETWORK, QUICK, results
from unit.coarse.training_toys import packed_shard, with_blendshapes

DISTANCE = 4630.5  # MGCNet's focal length


@pytest.fixture(scope="module")
def model(toy_model):
    return with_blendshapes(toy_model)


def spec_at(model, distance):
    choices = NETWORK.model_dump(exclude={"dense_landmarks"})
    return spec_for(model, **choices, camera_distance=distance)


def test_the_distance_is_kept_with_the_weights(model, tmp_path):
    network = CoarseNetwork(spec_at(model, DISTANCE))
    save_network(tmp_path / "w.safetensors", network, "toy")
    assert load_network(tmp_path / "w.safetensors", model, "toy").spec == network.spec
    weights, header = read_weights(tmp_path / "w.safetensors", "facemill-coarse-network-1")
    old = {name: value for name, value in header.items() if name != "camera_distance"}
    write_weights(tmp_path / "old.safetensors", weights, old, half=True)  # of a version before
    assert load_network(tmp_path / "old.safetensors", model, "toy").spec.camera_distance == 1000


def test_mgcnet_focal_length_belongs_to_the_distance():
    assert float(deep3d_crop_camera(distance=DISTANCE).intrinsics[0, 0]) == pytest.approx(4700, abs=0.1)


@pytest.mark.parametrize("distance", [1000.0, DISTANCE])
def test_a_training_renders_and_projects_with_its_camera(model, tmp_path, distance):
    settings = QUICK.model_copy(update={"rendered_share": 1.0, "camera_distance": distance})
    objective = TrainingObjective(model, spec_at(model, distance), settings, None, None)
    images = PackedShards([str(packed_shard(tmp_path / "shard", model, 2))])
    batch = batch_from(collate([images[0], images[1]]), CPU)
    numbers = 0.1 * torch.randn(2, objective.spec.outputs, generator=torch.Generator().manual_seed(0))
    coefficients = unknowns_of(prediction_of(numbers, objective.spec), objective.spec)
    shape = objective.space.model.shape(coefficients.identity, coefficients.expression)
    corners = model.topology.landmarks68[17:]
    posed = shape @ matrix_from_euler_deep3d(coefficients.rotation).mT + coefficients.translation[:, None]
    expected = project(posed[:, corners], deep3d_crop_camera(distance=distance)).pixels
    nobody = torch.ones(2, dtype=torch.bool)
    torch.testing.assert_close(objective.landmarks(coefficients, nobody)[:, 17:], expected, rtol=0, atol=2e-2)
    scene = objective.decode(prediction_of(numbers, objective.spec), 224)
    torch.testing.assert_close(scene.decoded.landmarks[:, 17:], expected, rtol=0, atol=2e-2)
    # What the rasteriser shows at the nose tip is the surface there.
    x, y = scene.decoded.landmarks[0, 30].round().long()
    tip = float(scene.decoded.vertices[0, model.topology.landmarks68[30], 2])
    assert float(scene.fragments.depth[0, y, x]) == pytest.approx(tip, abs=3)
    assert objective(numbers, batch).loss.isfinite()


def test_a_fit_that_is_bound_to_a_network_uses_its_camera(model):
    bound = CoarseSettings(network="some.safetensors", camera_distance=600)
    assert Fitter(model, bound, (), DISTANCE).camera_distance == DISTANCE
    free = CoarseSettings(network="", camera_distance=600)
    assert Fitter(model, free, (), DISTANCE).camera_distance == 600


def test_labels_are_about_one_camera(model, tmp_path):
    shards = [str(packed_shard(tmp_path / name, model, 4, seed)) for name, seed in (("a", 1), ("b", 2))]
    files = TrainingFiles(shards[:1], shards[1:])
    settings = QUICK.model_copy(update={"camera_distance": DISTANCE, "batch": 4, "epochs": 1.0})
    with pytest.raises(ConfigurationError, match=r"train_coarse\.camera_distance"):
        train_coarse(files, model, "toy", settings, tmp_path, results(tmp_path), CPU)
    for shard in shards:
        np.save(f"{shard}/labelled.npy", np.zeros(4, dtype=bool))
    free = settings.model_copy(update={"rendered_share": 1.0, "hybrid": HybridWeights(perceptual=0)})
    train_coarse(files, model, "toy", free, tmp_path / "run", results(tmp_path), CPU)
    found = load_network(tmp_path / "w.safetensors", model, "toy")
    assert found.spec.camera_distance == DISTANCE
    other = free.model_copy(update={"camera_distance": 1000.0, "start": str(tmp_path / "w.safetensors")})
    with pytest.raises(ConfigurationError, match=r"train_coarse\.camera_distance is not that"):
        train_coarse(
            files,
            model,
            "toy",
            other,
            tmp_path / "two",
            results(tmp_path),
            CPU,
        )
