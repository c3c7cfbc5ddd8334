"""reconstruct_coarse with a network: its prediction as it is, or as the start of the fit."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from facemill.coarse.fitting import Fitter
from facemill.coarse.networks.coarse_network import CoarseNetwork, spec_for
from facemill.coarse.networks.dense_head import CENTRE, PIXELS_PER_UNIT
from facemill.coarse.networks.files import save_network
from facemill.coarse.networks.predictor import Predictor
from facemill.coarse.reconstruct import reconstruct_coarse
from facemill.coarse.settings import CoarseSettings, FittingLevel, PhotometricStageSettings
from facemill.faces.decode import FaceDecoder
from facemill.geometry.camera import deep3d_crop_camera, project_camera_points
from facemill.models.coefficients import Coefficients
from facemill.rendering.rasterize import interpolate, rasterize
from facemill.runtime.errors import ConfigurationError, FormatError
from unit.coarse.training_toys import with_blendshapes

QUICK = PhotometricStageSettings(levels=(FittingLevel(reduction=4, steps=4),))


@pytest.fixture(scope="module")
def model(toy_model):
    return with_blendshapes(toy_model)


@pytest.fixture(scope="module")
def network(model):
    """A network that says the same of every crop: its heads' biases."""
    torch.manual_seed(0)
    network = CoarseNetwork(spec_for(model, backbone="resnet18", width=8, reduction=2))
    values = {
        0: [0.5, -1.0, 0.25, 0.0, 0.0, 1.0],
        1: [0.5, 0.0, 1.5, -1.0],
        3: [0.0, 0.25, 0.0],
        5: [0.125, 0.0],
    }
    with torch.no_grad():
        for head, bias in values.items():
            network.final_layers[head].bias.copy_(torch.tensor(bias))
    return network.eval()


@pytest.fixture
def shard(tmp_path, model):
    """Two photos of the face that the network predicts."""
    truth = Coefficients(
        torch.tensor([[0.5, -1.0, 0.25, 0.0, 0.0, 1.0]]),
        torch.tensor([[0.5, 0.0, 1.0, 0.0]]),
        torch.zeros(1, 3),
        torch.tensor([[0.0, 0.25, 0.0]]),
        torch.tensor([[12.5, 0.0, 0.0]]),
        torch.zeros(1, 27),
    )
    decoder = FaceDecoder(model)
    decoded = decoder(truth)
    triangles = model.topology.triangles
    fragments = rasterize(decoded.vertices, triangles, decoder.camera.intrinsics, (224, 224), True)
    crop = interpolate(fragments, fragments.barycentrics, decoded.colors, triangles)[0]
    rows = []
    for name in ("anna", "bert"):
        for folder, picture in (("crops", crop), ("masks", fragments.mask[0].float())):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray((255 * picture.numpy()).astype(np.uint8)).save(tmp_path / folder / f"{name}.png")
        points = decoded.landmarks[0].double().reshape(-1).tolist()
        rows.append({"photo": name, "status": "ok", "reason": "", "landmarks68": points})
    return truth, (pd.DataFrame(rows), tmp_path / "crops", tmp_path / "masks")


@pytest.fixture
def weights(tmp_path, network):
    save_network(tmp_path / "w.safetensors", network, "toy")
    return str(tmp_path / "w.safetensors")


def test_a_prediction_without_refinement_is_the_networks(shard, model, weights):
    truth, files = shard
    settings = CoarseSettings(network=weights, refine=0, batch_size=2)
    table, arrays = reconstruct_coarse(*files, model, settings, model_name="toy")
    assert table["status"].tolist() == ["ok", "ok"]
    for name in ("identity", "expression", "rotation", "translation"):
        np.testing.assert_allclose(arrays[name][1], getattr(truth, name)[0], atol=2e-3, err_msg=name)
    assert (table["landmark_error"] < 0.005).all()
    assert (table["photometric_error"] < 0.02).all()


def test_the_fit_starts_from_the_prediction(shard, model, weights, monkeypatch):
    truth, files = shard
    starts = []
    call = Fitter.__call__

    def remembered(self, crops, landmarks, masks, initial=None, dense=None):
        starts.append(initial)
        return call(self, crops, landmarks, masks, initial, dense)

    monkeypatch.setattr(Fitter, "__call__", remembered)
    table, arrays = reconstruct_coarse(
        *files, model, CoarseSettings(network=weights, photometric=QUICK), model_name="toy"
    )
    torch.testing.assert_close(starts[0].identity, truth.identity, atol=2e-3, rtol=0)
    assert (table["landmark_error"] < 0.01).all()
    assert np.abs(arrays["identity"] - truth.identity.numpy()).max() < 0.3
    reconstruct_coarse(*files, model, CoarseSettings(photometric=QUICK))
    assert starts[-1] is None


def test_dense_landmarks_of_the_network_are_what_the_fit_follows(shard, model, network, tmp_path):
    """The 68 landmarks of the table lie 5 px beside the face, the network's dense ones on it."""
    truth, (table, *folders) = shard
    vertices = tuple(range(50, 3300, 50))
    spec = spec_for(model, backbone="resnet18", width=8, reduction=2, dense_vertices=vertices)
    seeing = CoarseNetwork(spec)
    decoder = FaceDecoder(model, deep3d_crop_camera(distance=600.0))
    decoded = decoder(truth)
    pixels = project_camera_points(decoded.vertices[0, list(vertices)], decoder.camera.intrinsics).pixels
    numbers = torch.cat(((pixels - CENTRE) / PIXELS_PER_UNIT, torch.full((len(vertices), 1), -1.0)), dim=1)
    with torch.no_grad():
        seeing.dense_head.numbers.bias.copy_(numbers.flatten())
    save_network(tmp_path / "dense.safetensors", seeing, "toy")
    own = [np.asarray(points) for points in table["landmarks68"]]
    table["landmarks68"] = [(points + 5.0).tolist() for points in own]
    settings = CoarseSettings(
        network=str(tmp_path / "dense.safetensors"), photometric=QUICK, landmark_convention="model"
    )
    _, arrays = reconstruct_coarse(table, *folders, model, settings, model_name="toy")
    assert arrays["camera_distance"].tolist() == [600.0, 600.0]  # dense landmarks know no camera
    for photo in range(2):
        found = Coefficients(
            **{f: torch.from_numpy(arrays[f][photo : photo + 1]) for f in Coefficients.__dataclass_fields__}
        )
        distance = (decoder(found).landmarks - decoded.landmarks)[0].norm(dim=1)
        assert distance.mean() < 1.0


def test_weights_for_another_model_are_refused(shard, model, weights):
    with pytest.raises(FormatError, match="another morphable model"):
        reconstruct_coarse(*shard[1], model, CoarseSettings(network=weights), model_name="head")


def test_neither_network_nor_fit_is_refused(shard, model):
    with pytest.raises(ValidationError, match=r"set reconstruct_coarse\.network"):
        CoarseSettings(network="", refine=False)
    with pytest.raises(ConfigurationError, match="none ship for the model toy"):
        reconstruct_coarse(*shard[1], model, CoarseSettings(refine=False), model_name="toy")


def test_without_levels_only_light_and_albedo_come_from_the_pixels(shard, model):
    settings = CoarseSettings(photometric=PhotometricStageSettings(levels=()), landmark_convention="model")
    table, arrays = reconstruct_coarse(*shard[1], model, settings)
    longer = settings.model_copy(update={"photometric": QUICK})
    more = reconstruct_coarse(*shard[1], model, longer)[1]
    assert table["status"].tolist() == ["ok", "ok"]
    assert np.abs(arrays["lighting"]).max() > 0.01
    assert 0 < np.abs(arrays["identity"] - more["identity"]).max() < 0.5


def test_behind_a_network_the_fit_has_fewer_steps(model):
    levels = (FittingLevel(reduction=2, steps=5), FittingLevel(reduction=1, steps=1))
    chosen = CoarseSettings(photometric=PhotometricStageSettings(levels=levels, after_network=0.5))
    for network, steps in (("weights.safetensors", [3, 1]), ("", [5, 1]), (None, [5, 1])):
        fitter = Fitter(model, chosen.model_copy(update={"network": network}))
        assert [level.steps for level in fitter.photometric_stage.settings.levels] == steps


def test_faces_of_a_batch_are_predicted_as_alone(model, network):
    predictor = Predictor(network, model)
    crops = torch.rand(3, 224, 224, 3)
    together = predictor(crops).coefficients
    alone = predictor(crops[1:2]).coefficients
    torch.testing.assert_close(together.select(slice(1, 2)).identity, alone.identity)
    assert not together.identity.requires_grad
