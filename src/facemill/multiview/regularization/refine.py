"""A regulariser at work on one capture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from facemill.multiview.regularization.evidence import SurfaceEvidence, middle_of, network_input
from facemill.multiview.regularization.networks import AnyRegularizer

NEAR = 0.1  # mm: confidence is how likely the surface lies within
FULL_SUPPORT = 0.2  # of the classical surface, from which it limits confidence no more


@dataclass(frozen=True)
class RefinedSurface:
    """displacement: (H, W) float32 mm, 0 beside the mask. confidence: (H, W) float32 0..1."""

    displacement: NDArray[np.float32]
    confidence: NDArray[np.float32]


def refine(network: AnyRegularizer, evidence: SurfaceEvidence) -> RefinedSurface:
    """What a network makes of a capture.

    confidence: 1 - exp(-0.1 mm / b), the share of a Laplace distribution of the scale b that lies within
    0.1 mm, as the network estimates b; less where neighbours without matches support the surface below 0.2.
    Equal input gives equal output; the whole window goes through at once.
    """
    device = next(network.parameters()).device
    middle = middle_of(evidence, network.spec)
    volume = network_input(evidence, network.spec, middle)[None].to(device)
    with torch.inference_mode():
        found = network(volume.contiguous(memory_format=torch.channels_last_3d))[0].float().cpu().numpy()
    displacement = np.where(evidence.mask, middle + found[0], 0.0)
    confidence = 1 - np.exp(-NEAR / np.exp(found[1].astype(np.float64)))
    confidence *= np.clip(evidence.support / FULL_SUPPORT, 0, 1) * evidence.mask
    return RefinedSurface(displacement.astype(np.float32), confidence.astype(np.float32))
