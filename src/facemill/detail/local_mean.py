"""Weighted means over squares of window maps."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

TINY = 1e-6


def local_mean(values: Tensor, weight: Tensor, window: int) -> Tensor:
    """(B, h, w, C) weighted mean over a square of `window` texels around each; 0 where nothing counts.

    Args:
        weight: (B, h, w); beyond the borders it is 0. window: odd.
    """
    planes, counted = values.permute(0, 3, 1, 2), weight[:, None]
    both = torch.cat((planes * counted, counted), dim=1).contiguous()
    both = pad(both, [window // 2] * 4)
    for dimension in (2, 3):
        both = sliding_sums(both, window, dimension) / window
    found = both[:, :-1] / both[:, -1:].clamp(min=TINY)
    return found.permute(0, 2, 3, 1)


def sliding_sums(values: Tensor, length: int, dimension: int) -> Tensor:
    """Sums of `length` neighbours along a dimension, which becomes shorter by `length` - 1.

    Sums of 1, 2, 4, ... neighbours are made of one another, and those of `length` of these: some ten
    additions instead of `length` (torch's pooling takes twenty times as long), without the rounding of
    differences of running sums.
    """
    count = values.shape[dimension] - length + 1
    doubled, reach, begin = values, 1, 0
    total = torch.zeros_like(values.narrow(dimension, 0, count))
    while reach <= length:
        if length & reach:
            total = total + doubled.narrow(dimension, begin, count)
            begin += reach
        left = doubled.shape[dimension] - reach
        if 2 * reach <= length:
            doubled = doubled.narrow(dimension, 0, left) + doubled.narrow(dimension, reach, left)
        reach *= 2
    return total
