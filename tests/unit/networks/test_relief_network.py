"""The network of fine relief: what it starts as, what it refuses, how scales become confidence."""

import math

import pytest
import torch

from facemill.networks.relief_network import (
    AROUND,
    LOG_SCALE_LIMIT,
    SCALE_CHANNEL,
    ReliefNetwork,
    mean_around,
)

INPUTS = {"colour": 3, "seen": 1}


def network_of(seed: int = 0, limit: float = 0.5) -> ReliefNetwork:
    torch.manual_seed(seed)
    return ReliefNetwork(INPUTS, {"colour": 10.0}, (4, 6, 8), limit, torch.tensor(-3.0), 0.25)


def test_it_starts_without_relief_and_with_the_scale_of_who_sees_nothing():
    found = network_of()(torch.randn(2, 4, 16, 24))
    assert found.shape == (2, 2, 16, 24)
    assert found[:, 0].abs().max() == 0 and torch.all(found[:, SCALE_CHANNEL] == -3)


def test_relief_and_scale_stay_within_their_limits_and_gains_reach_their_channels_alone():
    network = network_of()
    torch.nn.init.normal_(network.end.weight, std=1e4)
    maps = torch.randn(1, 4, 16, 16)
    found = network(maps).detach()
    assert 0.4 < float(found[:, 0].abs().max()) <= 0.5
    assert 2 < float((found[:, SCALE_CHANNEL] + 3).abs().max()) <= LOG_SCALE_LIMIT + 1e-5
    plain = ReliefNetwork(INPUTS, {}, (4, 6, 8), 0.5, torch.tensor(-3.0), 0.25)
    plain.load_state_dict(network.state_dict())
    assert torch.allclose(plain(maps * torch.tensor([10.0, 10, 10, 1])[:, None, None]), found)


@pytest.mark.parametrize("shape", [(1, 3, 16, 16), (1, 4, 16, 20), (1, 4, 12, 16), (4, 16, 16)])
def test_maps_of_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="h and w multiples of 8"):
        network_of()(torch.zeros(shape))


def test_tiles_give_what_the_whole_gives():
    network = network_of()
    torch.nn.init.normal_(network.end.weight, std=0.1)
    maps = torch.randn(1, 4, 16, 256)
    whole = network(maps)[..., 112:144]
    assert torch.allclose(network(maps[..., 64:192])[..., 48:80], whole, atol=1e-6)
    assert not torch.allclose(network(maps[..., 112:144]), whole, atol=1e-6)  # the margin matters


def test_confidence_is_the_share_of_the_error_that_looking_removed():
    """Relief 0.3 mm, scale 0.1: 0 is wrong by 0.3 + 0.1 e^-3, the network by 0.1."""
    network = network_of()
    output = torch.tensor([0.3, math.log(0.1)])[None, :, None, None].expand(1, 2, 12, 12)
    gained = 1 - 0.1 / (0.3 + 0.1 * math.exp(-3))
    network.span.fill_(2 * gained)
    assert torch.allclose(network.confidence_of(output), torch.full((1, 12, 12), 0.5))
    network.floor.fill_(gained + 0.01)
    assert network.confidence_of(output).abs().max() == 0
    unsure = torch.tensor([0.0, math.log(0.1)])[None, :, None, None].expand(1, 2, 12, 12)
    network.floor.fill_(0.0)
    assert network.confidence_of(unsure).abs().max() < 1e-6


def test_means_at_borders_are_of_what_is_there():
    maps = torch.zeros(1, 1, AROUND, AROUND)
    maps[..., 0, 0] = 1
    found = mean_around(maps)[0, 0]
    half = AROUND // 2 + 1
    assert float(found[0, 0]) == pytest.approx(1 / half**2)
    assert float(found[half - 1, half - 1]) == pytest.approx(1 / AROUND**2)
