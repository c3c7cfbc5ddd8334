"""The training of detail networks as the shared trainer sees it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facemill.detail.networks.files import AnyDetailNetwork
from facemill.detail.training.augmentation import draw_augmentation
from facemill.detail.training.batches import PackedFaces, batch_from, collate
from facemill.detail.training.objective import DetailObjective
from facemill.detail.training.validation import draw_faces, validate
from facemill.detail.training_settings import TrainDetailSettings
from facemill.training.order import EpochOrder, draw_seeds
from facemill.training.task import StepLoss


@dataclass(frozen=True)
class DetailSets:
    """Faces to train on and to validate on.

    seen: whether faces to validate on are trained on too.
    """

    train: PackedFaces
    validation: PackedFaces
    seen: bool = False


class DetailTask:
    """Trains on packed faces; a `TrainingTask`."""

    rule = "train_detail"
    weights_key = "network"

    def __init__(self, objective: DetailObjective, sets: DetailSets, settings: TrainDetailSettings) -> None:
        self.objective, self.sets, self.settings = objective, sets, settings
        self.images = sets.train
        self.validated_first = bool(settings.start)
        start = Path(settings.start).read_bytes() if settings.start else b""
        self._origin = f", begun with {hashlib.sha256(start).hexdigest()[:12]}" if start else ""

    def order(self, first: int, last: int, rank: int, world: int) -> EpochOrder:
        """Faces one by one."""
        settings = self.settings
        return EpochOrder(len(self.images), settings.batch, settings.seed, first, last, rank, world)

    def collate(self, samples: list[Any]) -> dict[str, Tensor]:
        """Arrays as they lie on disk."""
        return collate(samples)

    def loss(
        self, network: nn.Module, stored: Mapping[str, Tensor], step: int, device: torch.device
    ) -> StepLoss:
        """The objective's, on augmented photos."""
        batch = batch_from(stored, device)
        seeds = draw_seeds(self.settings.seed, step, batch.numbers)
        return self.objective(network, batch, draw_augmentation(seeds, self.settings.augmentation))

    def bad_batch(
        self, stored: Mapping[str, Tensor], step: int, device: torch.device
    ) -> tuple[dict[str, NDArray], list[str]]:
        """The arrays as they lie on disk, and the seeds of the augmentation."""
        seeds = draw_seeds(self.settings.seed, step, stored["numbers"])
        arrays = {name: value.numpy() for name, value in stored.items()}
        names = [self.images.photo(int(number)) for number in stored["numbers"]]
        return {**arrays, "seeds": np.array(seeds, dtype=np.uint64)}, names

    def validate(self, network: nn.Module) -> dict[str, float]:
        """See `validation.validate`."""
        count = self.settings.validation_images
        return validate(cast(AnyDetailNetwork, network), self.objective, self.sets.validation, count)

    def score(self, measured: Mapping[str, float]) -> float:
        """Where displacement is known what is left of its error and of the normals', else the loss."""
        if "displacement_ratio" in measured:
            return 0.5 * (measured["displacement_ratio"] + measured["normal_ratio"])
        return measured.get("loss", math.nan)

    def picture(self, network: nn.Module, least: int = 0) -> NDArray[np.uint8] | None:
        """Photos in the atlas, true and found relief."""
        count = max(least, self.settings.pictures)
        if not count or not len(self.sets.validation):
            return None
        return draw_faces(cast(AnyDetailNetwork, network), self.objective, self.sets.validation, count)

    def fingerprint(self) -> str:
        """Images and settings."""
        free = {"epochs", "log_interval", "validation_interval", "validation_images", "checkpoint_interval"}
        free |= {"pictures", "workers", "processes", "nodes", "train", "validation", "start"}
        kept = self.settings.model_dump(mode="json", exclude=free, exclude_defaults=True)
        return f"{len(self.images)} faces, {dict(sorted(kept.items()))}{self._origin}"

    def summary(self) -> dict[str, Any]:
        """How many faces it was judged by, and whether it had seen them."""
        return {"validation_images": len(self.sets.validation), "validation_seen": self.sets.seen}
