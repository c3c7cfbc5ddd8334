"""The head of dense landmarks: where it begins, what half precision does to it, and files."""

import torch
from torch import nn

from facemill.coarse.networks.coarse_network import CoarseNetwork, prediction_of, spec_for
from facemill.coarse.networks.dense_head import DenseHead, dense_landmarks_of
from facemill.coarse.networks.files import load_network, save_deep3d, save_network
from facemill.faces.decode import FaceDecoder
from facemill.models.coefficients import neutral_coefficients


def _randomise(network: CoarseNetwork) -> None:
    draw = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.copy_(0.1 * torch.randn(module.running_mean.shape, generator=draw))


def test_dense_landmarks_start_at_the_mean_face_and_come_back_from_files(tmp_path, toy_model):
    vertices = tuple(toy_model.topology.landmarks68[[36, 45, 30]].tolist())
    spec = spec_for(toy_model, backbone="resnet18", width=8, reduction=4, dense_vertices=vertices)
    network = CoarseNetwork(spec).eval()
    network.dense_head.begin_at_mean_face(toy_model, vertices)
    found = prediction_of(network(torch.rand(2, 3, 56, 56)), spec)
    mean = FaceDecoder(toy_model)(neutral_coefficients(toy_model, 2, dtype=torch.float64))
    expected = mean.landmarks[:, [36, 45, 30]]
    torch.testing.assert_close(found.dense, expected.float(), atol=1e-3, rtol=0)
    assert found.dense_deviation.shape == (2, 3) and (found.dense_deviation > 1).all()
    _randomise(network)
    torch.nn.init.normal_(network.dense_head.numbers.weight, std=0.01)
    save_network(tmp_path / "w.safetensors", network, "toy")
    loaded = load_network(tmp_path / "w.safetensors", toy_model, "toy")
    assert loaded.spec == spec
    pictures = torch.rand(1, 3, 56, 56)
    with torch.no_grad():
        torch.testing.assert_close(loaded(pictures), network(pictures), rtol=0.02, atol=0.02)
        torch.testing.assert_close(loaded.folded()(pictures), loaded(pictures), rtol=1e-4, atol=1e-4)
    save_deep3d(tmp_path / "epoch_1.pth", network)  # which knows no dense landmarks
    assert load_network(tmp_path / "epoch_1.pth", toy_model, "toy").dense_head is None


def test_dense_landmarks_keep_their_pixels_in_half_precision(toy_model):
    vertices = tuple(toy_model.topology.landmarks68[[36, 45, 30]].tolist())
    head = DenseHead(8, 2, 3)
    head.begin_at_mean_face(toy_model, vertices)
    with torch.autocast("cpu", torch.bfloat16):
        half = dense_landmarks_of(head(torch.zeros(1, 8, 2, 2)))[0]
    whole = dense_landmarks_of(head(torch.zeros(1, 8, 2, 2)))[0]
    torch.testing.assert_close(half, whole, atol=1e-3, rtol=0)
