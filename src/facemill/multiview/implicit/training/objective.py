"""Loss of the matching network, from logits of queries."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from facemill.multiview.implicit.localisation import PUBLISHED_BAND, gaussian_label, soft_argmax

TINY = 1e-6


def published_loss(logits: Tensor, displacement: Tensor, truth: Tensor, sigma: float) -> Tensor:
    """() mean square of score less label over queries (T, D); truth (T,) (AAAI 2022)."""
    label = gaussian_label(displacement, truth[:, None], sigma, PUBLISHED_BAND)
    return (torch.sigmoid(logits) - label).square().mean()


def score_loss(logits: Tensor, displacement: Tensor, truth: Tensor, sigma: float, flat: bool) -> Tensor:
    """() cross-entropy of each score (T, D) with its label; the labels of a flat patch are 0."""
    label = gaussian_label(displacement, truth[:, None], sigma)
    return functional.binary_cross_entropy_with_logits(logits, torch.zeros_like(label) if flat else label)


def peak_loss(logits: Tensor, displacement: Tensor, truth: Tensor, sigma: float) -> Tensor:
    """() cross-entropy of the softmax over each texel's band (T, D) with the label as a distribution.

    So the height of the peak over its surroundings is asked for, whatever the level. Less the entropy of the
    label: 0 for what cannot be better.
    """
    label = gaussian_label(displacement, truth[:, None], sigma) + TINY
    label = label / label.sum(dim=1, keepdim=True)
    found = functional.log_softmax(logits, dim=1)
    return (label * (label.log() - found)).sum(dim=1).mean()


def place_loss(logits: Tensor, displacement: Tensor, truth: Tensor, sigma: float) -> Tensor:
    """() mean over texels of how far the band's soft-argmax lies from the truth, in sigmas, at most 3."""
    away = (soft_argmax(logits, displacement) - truth).abs() / sigma
    return 3 * torch.tanh(away / 3).mean()
