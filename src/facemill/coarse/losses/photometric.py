"""Losses that compare a rendered face with the photo, pixel by pixel."""

from torch import Tensor

SMOOTHING = 1e-6


def photometric_distance(rendered: Tensor, photo: Tensor, attention: Tensor) -> Tensor:
    """Mean Euclidean colour distance over the attended pixels, (B,).

    sum_p a_p (sqrt(|r_p - i_p|^2 + s) - sqrt(s)) / max(sum_p a_p, 1), s = 1e-6; 0 when nothing is attended to.
    Deng et al. (2019) without the constant sqrt(s), so that a perfect render scores 0.

    Args:
        rendered, photo: (B, ..., 3) colours 0..1.
        attention: (B, ...) weights 0..1: skin probability times the rendered face region.
    """
    distance = ((rendered - photo).square().sum(-1) + SMOOTHING).sqrt() - SMOOTHING**0.5
    weights = attention.flatten(1)
    return (weights * distance.flatten(1)).sum(1) / weights.sum(1).clamp(min=1)
