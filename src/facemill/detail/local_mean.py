"""Weighted means over squares of window maps."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

TINY = 1e-6


def local_mean(values: Tensor, weight: Tensor, window: int) -> Tensor:
    """(B, h, w, C) weighted mean over a square of `window` texels around each; 0 where nothing counts."""
    both = torch.cat((values * weight[..., None], weight[..., None]), dim=-1).permute(0, 3, 1, 2)
    pooled = both
    for kernel in ((window, 1), (1, window)):  # the mean over a square is a mean of means
        padding = (kernel[0] // 2, kernel[1] // 2)
        pooled = avg_pool2d(pooled, kernel, stride=1, padding=padding)
    found = pooled[:, :-1] / pooled[:, -1:].clamp(min=TINY)
    return found.permute(0, 2, 3, 1)
