"""Terms for photos whose displacement is known, one value per photo, (B,) each; 0 where nothing is known."""

from __future__ import annotations

import math

import torch
from torch import Tensor

TINY = 1e-8
# Errors below count by their square, above by their length (Huber 1964). Folds are rare and deep, everything
# else is faint: by lengths alone a network learns to say 0 and stays there, by squares the folds lead it.
EASE = 0.3  # mm
SLOPE_EASE = 0.3


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
    """Weighted mean of Huber's function of predicted - target: x^2 / 0.6 up to 0.3 mm, x - 0.15 above.

    Arguments as in `laplace_surprise`; millimetres.
    """
    wrong = (predicted - target).abs()
    eased = torch.where(wrong < EASE, wrong * wrong / (2 * EASE), wrong - EASE / 2)
    return _mean(eased, weight)


def slope_distance(predicted: Tensor, target: Tensor, inverse_metric: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean of sqrt(s^2 + e^2) - e, s the slope of predicted - target over the surface, e = 0.3.

    The normal of a displaced surface is n - grad d to first order: s is about the angle in radians between
    the normals of the two surfaces.

    Args:
        predicted, target: (B, h, w), millimetres; weight: (B, h, w).
        inverse_metric: (B, 3, h, w), as in `CoarseMaps`.
    """
    wrong = predicted - target
    across, down = torch.gradient(wrong, dim=2)[0], torch.gradient(wrong, dim=1)[0]
    uu, uv, vv = inverse_metric.unbind(1)
    squared = uu * across * across + 2 * uv * across * down + vv * down * down
    return _mean(torch.sqrt(squared.clamp(min=0) + SLOPE_EASE**2) - SLOPE_EASE, weight)


def known_slopes(known: Tensor) -> Tensor:
    """(B, h, w) bool: texels known like all of the square of five around, so that the slope is, too."""
    unknown = torch.nn.functional.max_pool2d((~known).float()[:, None], 5, stride=1, padding=2)[:, 0]
    return unknown == 0


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum((1, 2)) / weight.sum((1, 2)).clamp(min=TINY)
