"""The judge of the adversarial training: patches at several scales (pix2pixHD: Wang et al., CVPR 2018).

Least squares (Mao et al., ICCV 2017): the judge is to say 1 of true and 0 of found relief, the generator to
make it say 1; and the judge's features of both are to agree (feature matching).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

SLOPE = 0.2
WIDEST = 512
KERNEL = 4


class PatchDiscriminator(nn.Module):
    """Judges overlapping patches: (B, C, h, w) -> features of each layer, the last one the verdict (B, 1, …).

    Convolutions 4 x 4, `layers` of stride 2 whose channels double from `width` on, one of stride 1, and the
    verdict; instance norm on all but the first and the last; leaky ReLU.
    """

    def __init__(self, inputs: int, width: int, layers: int) -> None:
        super().__init__()
        steps: list[nn.Module] = [_step(inputs, width, 2, normed=False)]
        for number in range(1, layers + 1):
            wider = min(2 * width, WIDEST)
            steps.append(_step(width, wider, 1 if number == layers else 2, normed=True))
            width = wider
        steps.append(nn.Conv2d(width, 1, KERNEL, padding=2))
        self.steps = nn.ModuleList(steps)

    def forward(self, maps: Tensor) -> list[Tensor]:
        features = []
        for step in self.steps:
            maps = step(maps)
            features.append(maps)
        return features


class MultiscaleDiscriminator(nn.Module):
    """One judge per resolution, each half of the one before: a list of their features."""

    def __init__(self, inputs: int, width: int, layers: int, scales: int) -> None:
        super().__init__()
        self.judges = nn.ModuleList(PatchDiscriminator(inputs, width, layers) for _ in range(scales))

    def forward(self, maps: Tensor) -> list[list[Tensor]]:
        found = []
        for judge in self.judges:
            found.append(judge(maps))
            maps = functional.avg_pool2d(maps, 3, stride=2, padding=1, count_include_pad=False)
        return found


def verdict_distance(judged: Sequence[Sequence[Tensor]], wanted: float) -> Tensor:
    """() mean over scales of the mean squared distance of all verdicts to what is wanted."""
    return torch.stack([(features[-1] - wanted).square().mean() for features in judged]).mean()


def feature_distance(found: Sequence[Sequence[Tensor]], true: Sequence[Sequence[Tensor]]) -> Tensor:
    """() mean over scales and layers (but for verdicts) of the mean distance; no gradient flows to `true`."""
    distances = [
        (a - b.detach()).abs().mean()
        for ours, theirs in zip(found, true, strict=True)
        for a, b in zip(ours[:-1], theirs[:-1], strict=True)
    ]
    return torch.stack(distances).mean()


def _step(inputs: int, outputs: int, stride: int, normed: bool) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, KERNEL, stride, padding=2)]
    if normed:
        layers.append(nn.InstanceNorm2d(outputs))
    return nn.Sequential(*layers, nn.LeakyReLU(SLOPE))
