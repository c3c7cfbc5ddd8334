"""Terms for photos whose displacement is known, one value per photo, (B,) each; 0 where nothing is known."""

from __future__ import annotations

import math

import torch
from torch import Tensor

TINY = 1e-8
NORMAL_EASE = 0.01  # differences of normals well below count by their square, well above by their length


def laplace_surprise(predicted: Tensor, log_scale: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean of |predicted - target| / b + ln 2b, b = e^log_scale: minus the log of the density.

    Least where b is the mean distance that is to be expected.

    Args:
        predicted, target: (B, h, w), millimetres; log_scale: (B, h, w), of millimetres.
        weight: (B, h, w); 0 where the target is unknown.
    """
    surprise = (predicted - target).abs() * torch.exp(-log_scale) + log_scale + math.log(2)
    return _mean(surprise, weight)


def displacement_distance(predicted: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean of |predicted - target|, millimetres; arguments as in `laplace_surprise`."""
    return _mean((predicted - target).abs(), weight)


def normal_distance(predicted: Tensor, true: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean of sqrt(|n - n*|^2 + e^2) - e, e = 0.01: about the angle in radians where it is large.

    Args:
        predicted, true: (B, h, w, 3) unit normals; weight: (B, h, w).
    """
    squared = ((predicted - true) ** 2).sum(-1)
    return _mean(torch.sqrt(squared + NORMAL_EASE**2) - NORMAL_EASE, weight)


def known_slopes(known: Tensor) -> Tensor:
    """(B, h, w) bool: texels known like all of the square of five around, so that the slope is, too."""
    unknown = torch.nn.functional.max_pool2d((~known).float()[:, None], 5, stride=1, padding=2)[:, 0]
    return unknown == 0


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum((1, 2)) / weight.sum((1, 2)).clamp(min=TINY)
