"""The networks of the detail layer: sizes, the original by hand, files."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from facemill.detail.networks.detail_network import DetailNetwork
from facemill.detail.networks.files import atlas_digest, check_window, load_network, save_network
from facemill.detail.networks.original_network import OriginalDetailNetwork
from facemill.detail.networks.spec import INPUT_CHANNELS, NetworkSpec
from facemill.detail.training_settings import DetailNetworkSettings
from facemill.networks.relief_network import LOG_SCALE_LIMIT
from facemill.runtime.errors import FormatError

OURS = NetworkSpec("detail", 512, (0, 0, 64, 96), 2.0, (8, 12, 16))
ORIGINAL = NetworkSpec("original", 512, (0, 0, 512, 512), 1.0, (32, 48))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return DetailNetwork(OURS)


@pytest.fixture(scope="module")
def original():
    torch.manual_seed(1)
    return OriginalDetailNetwork(ORIGINAL)


def maps(height=64, width=96, count=2):
    return torch.randn(count, INPUT_CHANNELS, height, width, generator=torch.Generator().manual_seed(2))


def test_at_the_start_nothing_is_displaced_and_nothing_is_known(network):
    network.prior.copy_(torch.tensor(0.07).log())
    found = network(maps())
    assert found.shape == (2, 2, 64, 96)
    assert torch.equal(found[:, 0], torch.zeros(2, 64, 96))
    assert torch.allclose(found[:, 1].exp(), torch.tensor(0.07))
    assert float(network.confidence_of(found).detach().max()) < 1e-4


def test_displacement_and_scale_stay_within_their_limits(network):
    with torch.no_grad():
        network.end.weight.normal_(std=1e4)
    found = network(maps()).detach()
    assert 1.99 < float(found[:, 0].abs().max()) <= 2.0
    assert float((found[:, 1] - network.prior_map(64, 96)[:, 0]).abs().max()) <= LOG_SCALE_LIMIT + 1e-5


def test_confidence_is_what_looking_has_gained(network):
    network.floor.fill_(0.1)
    network.span.fill_(0.4)
    prior = network.prior_map(64, 96)
    gained = torch.tensor([0.1, 0.3, 0.5, 0.9, -1.0])
    output = torch.zeros(5, 2, 64, 96)
    output[:, 1] = prior[:, 0] + torch.log1p(-gained)[:, None, None]
    expected = torch.tensor([0.0, 0.5, 1.0, 1.0, 0.0])[:, None, None].expand(5, 64, 96)
    assert torch.allclose(network.confidence_of(output), expected, atol=1e-5)


def test_deep_folds_are_sure_of_more_than_shallow_ones(network):
    """The scale is above the usual one, 0.1 mm, but well below what saying 0 would cost."""
    network.floor.fill_(0.0)
    network.span.fill_(1.0)
    depth = torch.tensor([0.0, 0.15, 0.6])
    output = torch.zeros(3, 2, 64, 96)
    output[:, 0] = depth[:, None, None]
    output[:, 1] = np.log(0.15)
    expected = 1 - 0.15 / (depth + 0.15 * torch.exp(-depth / 0.15))
    assert torch.allclose(network.confidence_of(output), expected[:, None, None].expand(3, 64, 96), atol=1e-5)
    stripes = output[2:].clone()
    stripes[:, 0, ::2] *= -1
    assert torch.allclose(network.confidence_of(stripes)[0], expected[2].expand(64, 96), atol=1e-5)


def test_texels_lie_where_they_were(network):
    """A network that hands its input through must not move anything, for all four texels of a place."""
    plain = DetailNetwork(replace(OURS, widths=(64, 8)))
    for parameter in plain.parameters():
        nn.init.zeros_(parameter)
    with torch.no_grad():
        for channel in range(4):  # the four texels of input 0, kept positive by a bias
            plain.begin.weight[channel, channel, 1, 1] = 0.1  # colour differences count ten times
            plain.begin.bias[channel] = 5.0
            plain.join[0].weight[channel, 64 + channel, 0, 0] = 1.0
            plain.end.weight[channel, channel, 1, 1] = 1.0
            plain.end.bias[channel] = -5.0
    given = maps().clamp(-3, 3)
    found = plain(given)[:, 0]
    assert torch.allclose(found, 2.0 * torch.tanh(0.02 * given[:, 0] / 2.0), atol=1e-6)


def test_the_defaults_have_at_most_three_million_parameters():
    default = DetailNetworkSettings()
    spec = NetworkSpec("detail", 512, (0, 0, 512, 384), default.limit, default.widths)
    assert sum(parameter.numel() for parameter in DetailNetwork(spec).parameters()) <= 3_000_000


@pytest.mark.parametrize("shape", [(1, 3, 64, 96), (1, INPUT_CHANNELS, 60, 96), (INPUT_CHANNELS, 64, 96)])
def test_maps_of_a_wrong_shape_are_named(network, shape):
    with pytest.raises(ValueError, match="maps: expected"):
        network(torch.zeros(shape))


def test_the_original_has_the_published_layers(original):
    encoder = [tuple(layer.weight.shape) for layer in original.encoder]
    channels = [3, 16, 32, 64, 128, 256, 512, 512, 512, 512, 512]
    assert encoder == [(b, a, 3, 3) for a, b in itertools.pairwise(channels)]
    assert [layer.stride[0] for layer in original.encoder] == [1] + 9 * [2]
    assert [tuple(layer.weight.shape[:2]) for layer in original.decoder] == [
        (512, 512), (512, 512), (512, 512), (512, 512), (512, 256), (256, 128), (128, 64), (64, 32), (32, 16),
    ]  # fmt: skip


def test_the_original_is_what_its_layers_say(original):
    """512 x 512 -> 1 x 1 -> 512 x 512, skips added after the ReLU, written out once more by hand."""
    given = maps(512, 512, 1)
    kept = []
    values = 2 * given[:, :3]  # colours 0..1 to (0..255 - 127.5) / 127.5: differences double
    for layer in original.encoder:
        values = torch.relu(functional.conv2d(values, layer.weight, layer.bias, layer.stride, padding=1))
        kept.append(values)
    assert kept[-1].shape[-2:] == (1, 1)
    for layer, skip in zip(original.decoder, kept[-2::-1], strict=True):
        enlarged = functional.conv_transpose2d(values, layer.weight, layer.bias, 2, 1, output_padding=1)
        values = torch.relu(enlarged) + skip
    expected = torch.tanh(functional.conv2d(values, original.end.weight, original.end.bias, padding=1))
    with torch.no_grad():
        found = original(given)
    assert found.shape == (1, 1, 512, 512)
    assert torch.allclose(found, expected, atol=1e-6)
    assert float(found.abs().max()) > 1e-4
    assert torch.equal(original.confidence_of(found), torch.ones(1, 512, 512))


def test_the_original_takes_windows_that_are_no_power_of_two(original):
    with torch.no_grad():
        assert original(maps(96, 160, 1)).shape == (1, 1, 96, 160)


@pytest.mark.parametrize("kind", ["detail", "original"])
def test_files_keep_a_network(tmp_path, toy_model, network, original, kind):
    given = network if kind == "detail" else original
    with torch.no_grad():
        given.end.weight.normal_(std=0.1)
    save_network(tmp_path / "w.safetensors", given, "head", toy_model.topology, {"step": "3"})
    found = load_network(tmp_path / "w.safetensors", "head", toy_model.topology)
    assert found.spec == given.spec and not found.training
    shown = 0.1 * maps(64, 96, 1)
    with torch.no_grad():
        assert torch.allclose(found(shown), given(shown), atol=5e-3)
    again = tmp_path / "again.safetensors"
    save_network(again, found, "head", toy_model.topology, {"step": "3"})
    assert again.read_bytes() == (tmp_path / "w.safetensors").read_bytes()


def test_weights_for_another_model_or_atlas_are_named(tmp_path, toy_model, network):
    path = tmp_path / "w.safetensors"
    topology = toy_model.topology
    save_network(path, network, "head", topology)
    with pytest.raises(FormatError, match="another morphable model"):
        load_network(path, "bfm09", topology)
    moved = replace(topology, uv=topology.uv * 0.9)
    assert atlas_digest(moved) != atlas_digest(topology)
    with pytest.raises(FormatError, match="another morphable model"):
        load_network(path, "head", moved)
    with pytest.raises(FormatError, match="for other maps"):
        check_window(path, network.spec, 256, OURS.window)
    check_window(path, network.spec, 512, OURS.window)


def test_pickles_and_torn_files_are_refused(tmp_path, toy_model, network):
    path = tmp_path / "w.safetensors"
    torch.save({"network": network.state_dict()}, path)
    with pytest.raises(FormatError, match="safetensors"):
        load_network(path, "head", toy_model.topology)
    save_network(path, network, "head", toy_model.topology)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FormatError, match="safetensors"):
        load_network(path, "head", toy_model.topology)


def test_a_header_that_lies_is_named(tmp_path, toy_model, network):
    path = tmp_path / "w.safetensors"
    network.spec = replace(OURS, widths=(8, 12, 20))
    save_network(path, network, "head", toy_model.topology)
    with pytest.raises(FormatError, match="does not fit the network"):
        load_network(path, "head", toy_model.topology)
    save_network(path, network, "head", toy_model.topology, {"window": "0 0 a b"})
    with pytest.raises(FormatError, match="header does not describe a network"):
        load_network(path, "head", toy_model.topology)


@pytest.mark.parametrize(
    "changes", [{"kind": "other"}, {"window": (0, 0, 33, 32)}, {"widths": (8,)}, {"widths": 6 * (8,)}]
)
def test_a_spec_that_cannot_be_is_named(changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        replace(OURS, **changes)


def test_a_spec_survives_a_header():
    text = OURS.as_text()
    assert NetworkSpec.from_text(text) == OURS
    assert all("\n" not in value for value in text.values())
