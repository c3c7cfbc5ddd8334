"""From a network's output to displacement and confidence."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from facemill.detail.networks.files import AnyDetailNetwork

#: Confidence from which displacement counts whole; below it fades, and at 0 it is 0.
WHOLE = 0.25


class Detail(NamedTuple):
    """displacement: (B, h, w) mm along the smooth normals; confidence: (B, h, w) 0..1."""

    displacement: Tensor
    confidence: Tensor


def detail_of(network: AnyDetailNetwork, output: Tensor, evidence: Tensor, mask: Tensor) -> Detail:
    """Displacement where there is evidence and the network is sure.

    confidence = evidence x what the network says it has gained; displacement = predicted x mask x smooth step
    of confidence from 0 to `WHOLE`.

    Args:
        output: (B, 1 or 2, h, w) of the network; evidence: (B, h, w); mask: (h, w).
    """
    confidence = evidence * network.confidence_of(output) * (mask > 0)
    share = (confidence / WHOLE).clamp(0, 1)
    fade = share * share * (3 - 2 * share)
    return Detail(output[:, 0] * mask * fade, confidence)


def predict(network: AnyDetailNetwork, inputs: Tensor, evidence: Tensor, mask: Tensor) -> Detail:
    """The same from the network's inputs (B, 15, h, w), without gradients."""
    with torch.inference_mode():
        output = network(inputs.contiguous(memory_format=torch.channels_last)).float()
        return detail_of(network, output, evidence, mask)
