"""The photometric term in the atlas: the coarse albedo in the light of the photo, at displaced normals."""

from __future__ import annotations

import torch
from torch import Tensor

from facemill.detail.local_mean import local_mean

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
