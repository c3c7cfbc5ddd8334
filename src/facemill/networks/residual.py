"""Convolutions without norms: how their weights begin, and the residual block of two of them."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

SLOPE = 0.1  # of the leaky ReLU
SECOND_GAIN = 0.1  # of a block's second convolution: depth costs no contrast at the start

Convolution = TypeVar("Convolution", nn.Conv2d, nn.Conv3d)


def drawn(layer: Convolution, gain: float = 1.0) -> Convolution:
    """The layer with weights after He et al. 2015, times `gain`, and a bias of 0."""
    nn.init.kaiming_normal_(layer.weight, a=SLOPE)
    with torch.no_grad():
        layer.weight *= gain
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


class Residual(nn.Module):
    """x + second(act(first(act(x)))), leaky ReLU; both convolutions keep channels and size."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, values: Tensor) -> Tensor:
        hidden = self.first(functional.leaky_relu(values, SLOPE))
        changed: Tensor = self.second(functional.leaky_relu(hidden, SLOPE))
        return values + changed
