"""The residual block by hand, and how weights begin."""

import pytest
import torch
from torch import nn

from facemill.networks.residual import SLOPE, Residual, drawn


def test_a_block_adds_what_two_convolutions_say():
    first, second = (nn.Conv2d(1, 1, 1, bias=False) for _ in range(2))
    nn.init.constant_(first.weight, 2.0)
    nn.init.constant_(second.weight, 3.0)
    found = Residual(first, second)(torch.tensor([1.0, -1.0]).reshape(1, 1, 1, 2)).flatten().tolist()
    assert found == pytest.approx([1 + 3 * 2, -1 + 3 * SLOPE * 2 * SLOPE * -1])


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.Conv3d])
def test_weights_begin_after_he_times_the_gain(kind):
    torch.manual_seed(0)
    layer = drawn(kind(16, 64, 3), gain=0.5)
    expected = 0.5 * (2 / ((1 + SLOPE**2) * layer.weight[0].numel())) ** 0.5
    assert float(layer.weight.detach().std()) == pytest.approx(expected, rel=0.05)
    assert layer.bias.abs().max() == 0
