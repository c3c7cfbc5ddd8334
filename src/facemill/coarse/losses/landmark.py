"""Landmark losses, in pixels of the 224 crop."""

import torch
from torch import Tensor

JAW = tuple(range(17))
NOSE_RIDGE_END = (28, 29, 30)
INNER_MOUTH = tuple(range(60, 68))
INNER = tuple(range(17, 68))
OUTER_EYES = (36, 45)


def landmark_weights(
    emphasis: float, dtype: torch.dtype = torch.float32, device: torch.device | None = None
) -> Tensor:
    """(68,) weights: `emphasis` (Deng et al. 2019: 20) on lower nose ridge and inner mouth, 1 elsewhere."""
    weights = torch.ones(68, dtype=dtype, device=device)
    weights[list(NOSE_RIDGE_END + INNER_MOUTH)] = emphasis
    return weights


def landmark_distance(predicted: Tensor, detected: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean squared distance, (B,): sum_i w_i |p_i - d_i|^2 / 68, square pixels (Deng et al. 2019).

    Args:
        predicted, detected: (B, 68, 2) pixels.
        weights: (68,) or (B, 68).
    """
    squared = (predicted - detected).square().sum(-1)
    return (weights * squared).sum(-1) / predicted.shape[-2]


def landmark_error(predicted: Tensor, detected: Tensor) -> Tensor:
    """Mean distance of the inner 51 points as a share of the detected outer-eye distance, (B,).

    The jaw is left out: where it lies is a convention of the annotator. NaN when both eye corners coincide.
    """
    inner = list(INNER)
    distance = (predicted[:, inner] - detected[:, inner]).norm(dim=-1).mean(-1)
    eyes = (detected[:, OUTER_EYES[0]] - detected[:, OUTER_EYES[1]]).norm(dim=-1)
    return torch.where(eyes > 0, distance / eyes, torch.full_like(eyes, torch.nan))
