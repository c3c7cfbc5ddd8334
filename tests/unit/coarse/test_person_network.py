"""reconstruct_person behind a network: dense landmarks lead the joint fit, whatever camera came before."""

import numpy as np
import pytest
import torch

from facemill.coarse.image_sets.person_settings import PersonSettings
from facemill.coarse.image_sets.reconstruct import reconstruct_person
from facemill.coarse.networks.coarse_network import CoarseNetwork, spec_for
from facemill.coarse.networks.confidence_network import confidence_network_for, save_confidence
from facemill.coarse.networks.dense_head import CENTRE, PIXELS_PER_UNIT
from facemill.coarse.networks.files import load_network, save_network
from facemill.coarse.reconstruct import reconstruct_coarse
from facemill.coarse.settings import CoarseSettings
from facemill.faces.decode import FaceDecoder
from facemill.geometry.camera import deep3d_crop_camera, project_camera_points
from facemill.models.coefficients import Coefficients
from facemill.runtime.digests import file_digest
from facemill.runtime.errors import ConfigurationError, FormatError
from unit.coarse.test_predicted_faces import QUICK, model, shard  # noqa: F401  (fixtures)


@pytest.fixture
def seeing(shard, model, tmp_path):  # noqa: F811
    """Weights of a network whose dense landmarks lie on the true face of every crop; those landmarks."""
    truth, _ = shard
    vertices = tuple(range(50, 3300, 50))
    network = CoarseNetwork(
        spec_for(model, backbone="resnet18", width=8, reduction=2, dense_vertices=vertices)
    )
    decoder = FaceDecoder(model, deep3d_crop_camera(distance=600.0))
    decoded = decoder(truth)
    pixels = project_camera_points(decoded.vertices[0, list(vertices)], decoder.camera.intrinsics).pixels
    numbers = torch.cat(((pixels - CENTRE) / PIXELS_PER_UNIT, torch.full((len(vertices), 1), -1.0)), dim=1)
    with torch.no_grad():
        network.dense_head.numbers.bias.copy_(numbers.flatten())
    save_network(tmp_path / "dense.safetensors", network, "toy")
    return str(tmp_path / "dense.safetensors"), decoded.landmarks


@pytest.mark.parametrize("refined", [True, False])
def test_dense_landmarks_lead_the_joint_fit(shard, model, seeing, refined):  # noqa: F811
    """Without refinement the single faces are of the network's camera, and their pose is no start."""
    table, crops, masks = shard[1]
    table["landmarks68"] = [(np.asarray(points) + 5.0).tolist() for points in table["landmarks68"]]
    coarse = CoarseSettings(network=seeing[0], photometric=QUICK, landmark_convention="model", refine=refined)
    table, arrays = reconstruct_coarse(
        table,
        crops,
        masks,
        model,
        coarse.model_copy(update={"largest_landmark_error": 9.0}),
        model_name="toy",
    )
    assert set(arrays["camera_distance"].tolist()) == {600.0 if refined else 1000.0}
    table = grouped(table)
    settings = PersonSettings(levels=QUICK.levels, identity_deviation=1.0)
    found = reconstruct_person(table, arrays, crops, masks, model, settings, coarse, model_name="toy").arrays
    assert found["camera_distance"].tolist() == [600.0, 600.0]
    decoder = FaceDecoder(model, deep3d_crop_camera(distance=600.0))
    for photo in range(2):
        rows = {name: found[name][:1] for name in ("identity", "albedo")}
        own = ("expression", "rotation", "translation", "lighting")
        rows |= {name: found[name][photo : photo + 1] for name in own}
        face = Coefficients(**{name: torch.from_numpy(values) for name, values in rows.items()})
        distance = (decoder(face).landmarks - seeing[1])[0].norm(dim=1)
        assert distance.mean() < 1.5


def grouped(table):
    """`table` as group_people leaves it: both photos are ann's."""
    table = table.assign(person="ann", used=True, left_out="", left_out_reason="", landmark_score=0.9)
    return table.assign(yaw=14.0, pitch=0.0, roll=0.0)


def test_weights_of_train_image_set_give_a_start(shard, model, seeing, tmp_path):  # noqa: F811
    """An untrained confidence network gives every photo the same weight: the plain mean."""
    table, crops, masks = shard[1]
    coarse = CoarseSettings(network=seeing[0], refine=False, largest_landmark_error=9.0)
    table, arrays = reconstruct_coarse(table, crops, masks, model, coarse, model_name="toy")
    arrays["identity"][1] += 1.0  # the two pictures are the same: now their identities are not
    network = load_network(seeing[0], model, "toy")
    weights, other = tmp_path / "confidence.safetensors", tmp_path / "other.safetensors"
    save_confidence(weights, confidence_network_for(network), "toy", file_digest([seeing[0]]))
    save_confidence(other, confidence_network_for(network), "toy", "another digest")

    def run(path, network=seeing[0]):
        settings = PersonSettings(start="network", confidence_network=str(path), refine=False)
        changed = coarse.model_copy(update={"network": network})
        rows = grouped(table)
        return reconstruct_person(
            rows, arrays, crops, masks, model, settings, changed, model_name="toy"
        ).arrays

    found = run(weights)
    np.testing.assert_allclose(found["identity"], found["start_mean"], rtol=1e-5)
    np.testing.assert_array_equal(found["identity"], found["start_network"])
    with pytest.raises(FormatError, match="on top of another network"):
        run(other)
    with pytest.raises(ConfigurationError, match="no network"):
        run(weights, network="")
