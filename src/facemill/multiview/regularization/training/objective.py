"""The loss of a regulariser against true displacement."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from facemill.multiview.regularization.settings import TrainRegularizerSettings
from facemill.multiview.regularization.spec import RegularizerSpec
from facemill.multiview.regularization.training.patches import JUMP
from facemill.training.task import StepLoss

NEAR = 0.05  # mm, below which distances count squared (Huber)
GENTLE = 0.3  # slope, below which slopes count squared


def regularizer_loss(
    network: nn.Module, batch: Mapping[str, Tensor], spec: RegularizerSpec, settings: TrainRegularizerSettings
) -> StepLoss:
    """Loss of a batch of patches.

    Texels count whose truth lies within the band, for nothing else can be reached.
    robust: weights.displacement * Huber(error / 0.05 mm) + weights.slope * Huber(slopes of the error, along
    rows and columns, mm per mm: about the error of the normals in radians) + weights.surprise *
    (ln 2 b + |error| / b), means over texels.
    published: the mean square of the error in steps of the band: the target is divided by the step, which the
    original forgets.
    """
    volume = batch["volume"].contiguous(memory_format=torch.channels_last_3d)
    found = network(volume)
    target = batch["residual"]
    counted = torch.isfinite(target) & (target.abs() <= spec.reach)
    error = torch.where(counted, found[:, 0] - target.nan_to_num(), torch.zeros_like(target))
    if settings.loss == "published":
        squares = _mean((error / spec.step) ** 2, counted)
        return StepLoss(
            squares, {"squares": squares.detach(), "distance": _mean(error.abs(), counted).detach()}
        )
    truth = target + batch["middle"]
    slopes = []
    for axis, lengths in ((1, batch["down"]), (2, batch["across"])):
        last = target.shape[axis] - 1
        length = lengths.narrow(axis, 0, last)
        both = counted.narrow(axis, 0, last) & counted.narrow(axis, 1, last)
        both = both & ((truth.diff(dim=axis) / length).abs() <= JUMP)
        slope = error.diff(dim=axis) / length
        slopes.append(
            _mean(functional.huber_loss(slope, torch.zeros_like(slope), reduction="none", delta=GENTLE), both)
        )
    scale = found[:, 1]
    terms = {
        "displacement": _mean(
            functional.huber_loss(error, torch.zeros_like(error), reduction="none", delta=NEAR) / NEAR**2,
            counted,
        ),
        "slope": slopes[0] + slopes[1],
        "surprise": _mean(0.6931 + scale + error.detach().abs() / scale.exp(), counted),
    }
    weights = settings.weights
    loss = (
        weights.displacement * terms["displacement"]
        + weights.slope * terms["slope"]
        + weights.surprise * terms["surprise"]
    )
    terms["distance"] = _mean(error.abs(), counted)
    return StepLoss(loss, {name: value.detach() for name, value in terms.items()})


def _mean(values: Tensor, counted: Tensor) -> Tensor:
    """Mean over marked texels; 0 when there is none."""
    return torch.where(counted, values, torch.zeros_like(values)).sum() / counted.sum().clamp(min=1)
