"""The training of regularisers as the shared trainer sees it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facemill.multiview.regularization.networks import AnyRegularizer
from facemill.multiview.regularization.settings import TrainRegularizerSettings
from facemill.multiview.regularization.training.objective import regularizer_loss
from facemill.multiview.regularization.training.patches import (
    FacePatches,
    PatchOrder,
    TrainingFace,
    collate_patches,
)
from facemill.multiview.regularization.training.validation import draw_faces, score, validate
from facemill.training.task import StepLoss


class RegularizerTask:
    """Trains on patches of captures; a `TrainingTask`."""

    rule = "train_regularizer"
    weights_key = "network"

    def __init__(
        self,
        patches: FacePatches,
        held: Sequence[TrainingFace],
        settings: TrainRegularizerSettings,
        digest: str,
    ) -> None:
        self.images, self.held, self.settings = patches, held, settings
        self.validated_first = bool(settings.start)
        start = Path(settings.start).read_bytes() if settings.start else b""
        self._origin = f", begun with {hashlib.sha256(start).hexdigest()[:12]}" if start else ""
        self._digest = digest

    def order(self, first: int, last: int, rank: int, world: int) -> PatchOrder:
        """New patches at each step."""
        settings = self.settings
        return PatchOrder(len(self.images), settings.batch, settings.seed, first, last, rank, world)

    def collate(self, samples: list[Any]) -> dict[str, Tensor]:
        """A batch of patches."""
        return collate_patches(samples)

    def loss(
        self, network: nn.Module, stored: Mapping[str, Tensor], step: int, device: torch.device
    ) -> StepLoss:
        """See `objective.regularizer_loss`."""
        batch = {name: values.to(device) for name, values in stored.items()}
        return regularizer_loss(network, batch, self.images.spec, self.settings)

    def bad_batch(
        self, stored: Mapping[str, Tensor], step: int, device: torch.device
    ) -> tuple[dict[str, NDArray], list[str]]:
        """The patches, and their captures."""
        names = [self.images.name(int(number)) for number in stored["number"]]
        return {name: values.numpy() for name, values in stored.items()}, names

    def validate(self, network: nn.Module) -> dict[str, float]:
        """See `validation.validate`."""
        return validate(cast(AnyRegularizer, network), self.held[: self.settings.validation_images])

    def score(self, measured: Mapping[str, float]) -> float:
        """See `validation.score`; NaN without captures to validate on."""
        return score(dict(measured)) if measured else math.nan

    def picture(self, network: nn.Module, least: int = 0) -> NDArray[np.uint8] | None:
        """Errors of the classical surface and of the network's."""
        count = max(least, self.settings.pictures)
        faces = (self.held or self.images.faces)[:count]
        return draw_faces(cast(AnyRegularizer, network), faces) if count else None

    def fingerprint(self) -> str:
        """Captures, their matches, and settings."""
        free = {"epochs", "log_interval", "validation_interval", "validation_images", "checkpoint_interval"}
        free |= {"pictures", "workers", "processes", "nodes", "train", "validation", "start"}
        kept = self.settings.model_dump(mode="json", exclude=free, exclude_defaults=True)
        names = f"{len(self.images.faces)} maps {self._digest}"
        return f"{names}, {dict(sorted(kept.items()))}{self._origin}"

    def summary(self) -> dict[str, Any]:
        """How many captures it was trained on and judged by, and whether it had seen one of these."""
        trained = {face.name for face in self.images.faces}
        return {
            "captures": len(trained),
            "validation_images": len(self.held),
            "validation_seen": any(face.name in trained for face in self.held),
        }
