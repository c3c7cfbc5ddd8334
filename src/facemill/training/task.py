"""What a stage tells the trainer about its training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Sampler


@dataclass(frozen=True)
class StepLoss:
    """loss: () the mean over the batch; terms: name -> () unweighted mean over the photos that have it."""

    loss: Tensor
    terms: dict[str, Tensor]


class TrainingTask(Protocol):
    """One training: its images, its loss, and how good a network is.

    Attributes:
        rule: whose settings these are; messages name it.
        weights_key: name of the weights in a checkpoint.
        images: that can be indexed as the order says; its length is that of an epoch.
        validated_first: judge the network before the first step, because it starts from trained weights.
    """

    rule: str
    weights_key: str
    images: Any
    validated_first: bool

    def order(self, first: int, last: int, rank: int, world: int) -> Sampler[list[Any]]:
        """Which images each of the steps `first` .. `last` - 1 sees in process `rank` of `world`."""

    def collate(self, samples: list[Any]) -> dict[str, Tensor]:
        """One batch, on the CPU, of the images of a step."""

    def loss(
        self, network: nn.Module, stored: Mapping[str, Tensor], step: int, device: torch.device
    ) -> StepLoss:
        """Loss of a collated batch, with gradients; equal for equal arguments and weights."""

    def bad_batch(
        self, stored: Mapping[str, Tensor], step: int, device: torch.device
    ) -> tuple[dict[str, NDArray], list[str]]:
        """What to keep of a batch whose loss is no number, and the names of its photos."""

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Figures of a network on images that are not trained on."""

    def score(self, measured: Mapping[str, float]) -> float:
        """What decides which weights are best, from such figures; lower is better, NaN never is."""

    def picture(self, network: nn.Module, least: int = 0) -> NDArray[np.uint8] | None:
        """(H, W, 3) what the network makes of some images, at least `least`; None for no picture."""

    def fingerprint(self) -> str:
        """What must not change between the parts of a run; its length and places may."""

    def summary(self) -> dict[str, Any]:
        """What the report says of the images, beside their number."""
