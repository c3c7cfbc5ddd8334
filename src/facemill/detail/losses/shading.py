"""The photometric term in the atlas: the coarse albedo in the light of the photo, at displaced normals."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

TINY = 1e-6
DARKEST = 0.02


def shading_distance(shaded: Tensor, photo: Tensor, coarse: Tensor, weight: Tensor, window: int) -> Tensor:
    """Weighted mean length of the colour difference, after what is smooth in photo / coarse is given away.

    The model's albedo and nine harmonics do not know freckled, red or shadowed skin; but within some
    centimetres their ratio to the photo is nearly constant, and what is left is relief. So colours at
    displaced normals are multiplied by g = mean of the photo / mean of the coarse render, both weighted means
    over a square of `window` texels, before they are compared.

    Args:
        shaded: (B, h, w, 3) at displaced normals; coarse: at the coarse ones; photo: of texels. 0..1.
        weight: (B, h, w).
        window: odd.
    Returns:
        (B,); 0 when nothing is weighted.
    """
    with torch.no_grad():
        gain = local_mean(photo, weight, window) / local_mean(coarse, weight, window).clamp(min=DARKEST)
    squared = ((shaded * gain - photo) ** 2).sum(-1)
    lengths = torch.sqrt(squared + TINY) - TINY**0.5
    return (lengths * weight).sum((1, 2)) / weight.sum((1, 2)).clamp(min=TINY)


def local_mean(values: Tensor, weight: Tensor, window: int) -> Tensor:
    """(B, h, w, C) weighted mean over a square of `window` texels around each; 0 where nothing counts."""
    both = torch.cat((values * weight[..., None], weight[..., None]), dim=-1).permute(0, 3, 1, 2)
    pooled = both
    for kernel in ((window, 1), (1, window)):  # the mean over a square is a mean of means
        padding = (kernel[0] // 2, kernel[1] // 2)
        pooled = avg_pool2d(pooled, kernel, stride=1, padding=padding)
    found = pooled[:, :-1] / pooled[:, -1:].clamp(min=TINY)
    return found.permute(0, 2, 3, 1)
