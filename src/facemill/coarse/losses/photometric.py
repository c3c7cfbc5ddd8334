"""Losses that compare a rendered face with the photo, pixel by pixel."""

import torch
from torch import Tensor

SMOOTHING = 1e-6
LEAST_SCALE = 0.02  # colour distance that noise alone makes


def photometric_distance(rendered: Tensor, photo: Tensor, attention: Tensor) -> Tensor:
    """Mean Euclidean colour distance over the attended pixels, (B,).

    sum_p a_p (sqrt(|r_p - i_p|^2 + s) - sqrt(s)) / max(sum_p a_p, 1), s = 1e-6; 0 when no pixel is attended.
    Deng et al. (2019) without the constant sqrt(s), so that a perfect render scores 0.

    Args:
        rendered, photo: (B, ..., 3) colours 0..1.
        attention: (B, ...) weights 0..1: skin probability times the rendered face region.
    """
    distance = ((rendered - photo).square().sum(-1) + SMOOTHING).sqrt() - SMOOTHING**0.5
    weights = attention.flatten(1)
    return (weights * distance.flatten(1)).sum(1) / weights.sum(1).clamp(min=1)


def pixel_confidence(rendered: Tensor, photo: Tensor, attention: Tensor, scale: float) -> Tensor:
    """How far each pixel is to be believed, (B, ...), 0..1; no gradients.

    1 / (1 + (r / (scale m))^2)^2 with r the colour distance and m its median over the attended pixels of the
    photo, at least 0.02 (Geman and McClure 1987): hair, a hat or glasses over the face, which the skin mask
    may take for skin, differ from every render by more than most of the face does.

    Args: as in `photometric_distance`; pixels with attention above 0.1 form the median.
    """
    distance = (rendered.detach() - photo).square().sum(-1).sqrt()
    flat = distance.flatten(1)
    median = torch.where(attention.flatten(1) > 0.1, flat, torch.nan).nanmedian(1).values
    unit = scale * median.nan_to_num(nan=1.0).clamp(min=LEAST_SCALE)
    return (1 + (distance / unit.view(-1, *[1] * (distance.ndim - 1))).square()) ** -2
