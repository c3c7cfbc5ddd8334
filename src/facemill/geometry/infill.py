"""Smooth values where nothing is known, from where something is."""

from __future__ import annotations

import torch
from torch import Tensor


def push_pull(values: Tensor, weights: Tensor) -> Tensor:
    """Fill a map smoothly from its known places (push-pull of Gortler et al. 1996, The Lumigraph).

    Weighted means of 2 x 2 pixels are taken down to a single one; on the way up each pixel mixes its own
    value with the coarser map by its weight. Where the weight is 1 values stay.

    Args:
        values: (H, W, C); weights: (H, W), 0 = unknown, 1 = known. Unknown values may be anything finite.
    Returns:
        (H, W, C); all zero when nothing is known.
    """
    if values.ndim != 3 or weights.shape != values.shape[:2]:
        raise ValueError(
            f"values must have shape (H, W, C) and weights (H, W), not {tuple(values.shape)} "
            f"and {tuple(weights.shape)}"
        )
    share = weights.clamp(0, 1)
    return _filled((values * share.unsqueeze(-1)).permute(2, 0, 1)[None], share[None, None])[0].permute(
        1, 2, 0
    )


def _filled(weighted: Tensor, weight: Tensor) -> Tensor:
    """`weighted` (1, C, H, W) = value times `weight` (1, 1, H, W)."""
    size = weighted.shape[-2:]
    if max(size) == 1:
        return weighted / weight.clamp(min=1e-12)
    coarse_weight = torch.nn.functional.avg_pool2d(weight, 2, ceil_mode=True)
    coarse_weighted = torch.nn.functional.avg_pool2d(weighted, 2, ceil_mode=True)
    # Four quarter-known pixels make one fully known coarse pixel.
    saturated = (4 * coarse_weight).clamp(max=1)
    gain = saturated / coarse_weight.clamp(min=1e-12)
    coarse = _filled(coarse_weighted * gain, saturated)
    doubled = torch.nn.functional.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
    return weighted + (1 - weight) * doubled[..., : size[0], : size[1]]
