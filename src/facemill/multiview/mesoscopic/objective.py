"""What a mesoscopic network is asked for."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from facemill.multiview.mesoscopic.examples import METRIC, RELIEF, ZONE
from facemill.multiview.mesoscopic.settings import MesoscopicWeights

RELIEF_EASE = 0.05  # mm: errors below count by their square (Huber 1964)
SLOPE_EASE = 0.02
FLATTEST = 1e-4


def supervised_terms(output: Tensor, example: Tensor, weights: MesoscopicWeights) -> dict[str, Tensor]:
    """name -> () mean over the texels that count, of the terms whose weight is not 0.

    relief: Huber's function of the distance r - r* (x^2 / 0.1 up to 0.05 mm, x - 0.025 above). slope:
    sqrt(s^2 + e^2) - e, s the slope of r - r* over the surface, e = 0.02: about the angle in radians between
    found and true normals. surprise: |r - r*| / b + ln 2b, minus the logarithm of Laplace's density.

    Args:
        output: (B, 1 or 2, h, w) relief in mm, and ln b; example: (B, C, h, w), see `examples`.
    """
    target = example[:, RELIEF]
    known = torch.isfinite(target)
    weight = example[:, ZONE] * known
    wrong = torch.where(known, output[:, 0] - torch.nan_to_num(target), 0.0)
    terms = {}
    if weights.relief:
        size = wrong.abs()
        eased = torch.where(size < RELIEF_EASE, size * size / (2 * RELIEF_EASE), size - RELIEF_EASE / 2)
        terms["relief"] = _mean(eased, weight)
    if weights.slope:
        both = known[:, :-1, :-1] & known[:, 1:, :-1] & known[:, :-1, 1:]
        slope = squared_slope(wrong, example[:, METRIC])
        eased = torch.sqrt(slope + SLOPE_EASE**2) - SLOPE_EASE
        terms["slope"] = _mean(eased, weight[:, :-1, :-1] * both)
    if weights.surprise and output.shape[1] > 1:
        log_scale = output[:, 1]
        surprise = wrong.abs() * torch.exp(-log_scale) + log_scale + math.log(2)
        terms["surprise"] = _mean(surprise, weight)
    return terms


def squared_slope(values: Tensor, metric: Tensor) -> Tensor:
    """(B, h - 1, w - 1) squared gradient of maps (B, h, w) over the surface, by the step to the next texel.

    (G x^2 - 2 F x y + E y^2) / (E G - F^2) for steps x across and y down, with the metric E, F, G.

    Args:
        metric: (B, 3, h, w) mm^2: E, F, G.
    """
    across = values[:, :-1, 1:] - values[:, :-1, :-1]
    down = values[:, 1:, :-1] - values[:, :-1, :-1]
    e, f, g = metric[:, :, :-1, :-1].unbind(1)
    determinant = e * g - f * f
    usable = determinant > FLATTEST * (e + g) ** 2
    safe = torch.where(usable, determinant, torch.ones_like(determinant))
    squared = (g * across * across - 2 * f * across * down + e * down * down) / safe
    return torch.where(usable, squared, torch.zeros_like(squared)).clamp(min=0)


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=1e-6)
