"""Scores of narrow bands on a common band, and the displacement that a distribution over a band means."""

from __future__ import annotations

import torch
from torch import Tensor

SAME = 1e-3  # steps, within which a place is a sample


def resample_band(
    scores: Tensor, start: Tensor, step: float, centre: Tensor, offsets: Tensor
) -> tuple[Tensor, Tensor]:
    """Scores at `centre + offsets`, linear between the samples of each texel's own band.

    Args:
        scores: (H, W, K) float, NaN where a sample was not taken. start: (H, W) mm, displacement of sample 0;
            step: mm between samples.
        centre: (H, W) mm; offsets: (D,) mm.
    Returns:
        values: (D, H, W), 0 where nothing was sampled. sampled: (D, H, W) float, 1 where both samples beside
        the place were taken, else 0.

    >>> scores = torch.tensor([[[0.0, 1.0, 3.0]]])
    >>> values, sampled = resample_band(
    ...     scores, torch.tensor([[-0.5]]), 0.5, torch.tensor([[0.0]]), torch.tensor([-0.25, 0.0, 0.4, 0.6])
    ... )
    >>> values.flatten(), sampled.flatten()
    (tensor([0.5000, 1.0000, 2.6000, 0.0000]), tensor([1., 1., 1., 0.]))
    """
    count = scores.shape[-1]
    places = (centre[..., None] + offsets - start[..., None]) / step
    nearest = places.round()
    places = torch.where((places - nearest).abs() < SAME, nearest, places)
    inside = torch.isfinite(places) & (places >= 0) & (places <= count - 1)
    places = torch.where(inside, places, torch.zeros_like(places))
    lower = places.floor().clamp(max=max(count - 2, 0)).long()
    upper = (lower + 1).clamp(max=count - 1)
    share = places - lower
    low, high = scores.gather(-1, lower), scores.gather(-1, upper)
    values = torch.where(share > 0, torch.where(share < 1, low + share * (high - low), high), low)
    sampled = inside & torch.isfinite(values)
    values = torch.where(sampled, values, torch.zeros_like(values))
    return values.movedim(-1, 0), sampled.to(scores.dtype).movedim(-1, 0)


def soft_argmax(logits: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of offsets under softmax(logits) over the band, and their mean distance from it.

    logits (B, D, H, W), offsets (D,) mm -> two (B, H, W) in mm. Right only where the distribution has one
    peak: the mean of two peaks lies on neither. So bands are narrow, around a start that is localised.

    >>> logits = torch.tensor([0.25, 0.5, 0.25]).log()[None, :, None, None]
    >>> mean, spread = soft_argmax(logits, torch.tensor([-0.1, 0.0, 0.1]))
    >>> round(float(mean), 6) + 0.0, round(float(spread), 6)
    (0.0, 0.05)
    """
    shares = torch.softmax(logits.float(), dim=1)
    places = offsets.to(shares)[:, None, None]
    mean = (shares * places).sum(dim=1)
    spread = (shares * (places - mean[:, None]).abs()).sum(dim=1)
    return mean, spread
