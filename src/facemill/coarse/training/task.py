"""The training of coarse networks as the shared trainer sees it."""

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

from facemill.coarse.networks.confidence_network import AnyNetwork
from facemill.coarse.training.augmentation import alike_between_views, augment, draw_augmentation
from facemill.coarse.training.batches import PackedShards, TrainingBatch, batch_from, collate
from facemill.coarse.training.labels import MirrorMap
from facemill.coarse.training.objective import TrainingObjective, network_input
from facemill.coarse.training.protocol import ProtocolValidation
from facemill.coarse.training.tuples import TupleOrder
from facemill.coarse.training.validation import draw_faces, validate
from facemill.coarse.training_settings import TrainSettings
from facemill.training.order import EpochOrder, draw_seeds
from facemill.training.task import StepLoss


@dataclass(frozen=True)
class TrainingSets:
    """Images to train on and to validate on; `mirror` for their labels, None when none has any.

    seen: whether images to validate on are trained on too.
    """

    train: PackedShards
    validation: PackedShards
    mirror: MirrorMap | None
    seen: bool = False


class CoarseTask:
    """Trains on crops; a `TrainingTask`.

    Args:
        protocol: a benchmark's, for validation beside the losses'.
    """

    rule = "train_coarse"
    weights_key = "net_recon"  # Deep3DFaceRecon_pytorch reads our checkpoints

    def __init__(
        self,
        objective: TrainingObjective,
        sets: TrainingSets,
        settings: TrainSettings,
        protocol: ProtocolValidation | None = None,
    ) -> None:
        self.objective, self.sets, self.settings, self.protocol = objective, sets, settings, protocol
        self.images = sets.train
        self.validated_first = bool(settings.start)
        start = Path(settings.start).read_bytes() if settings.start else b""
        self._origin = f", begun with {hashlib.sha256(start).hexdigest()[:12]}" if start else ""

    def order(self, first: int, last: int, rank: int, world: int) -> EpochOrder:
        """Images one by one, or in tuples of views."""
        settings = self.settings
        size = (len(self.images), settings.batch, settings.seed, first, last, rank, world)
        if settings.tuples_per_step:
            return TupleOrder(*self.images.tuples(), settings.tuples_per_step, *size)
        return EpochOrder(*size)

    def collate(self, samples: list[Any]) -> dict[str, Tensor]:
        """Arrays as they lie on disk."""
        return collate(samples)

    def loss(
        self, network: nn.Module, stored: Mapping[str, Tensor], step: int, device: torch.device
    ) -> StepLoss:
        """The objective's, on augmented images."""
        batch = self._augmented(stored, step, device)
        pictures = network_input(batch.crops, self.objective.spec)
        return self.objective(network(pictures.contiguous(memory_format=torch.channels_last)), batch)

    def bad_batch(
        self, stored: Mapping[str, Tensor], step: int, device: torch.device
    ) -> tuple[dict[str, NDArray], list[str]]:
        """The augmented batch."""
        batch = self._augmented(stored, step, device)
        arrays = {name: getattr(batch, name).cpu().numpy() for name in TrainingBatch.__dataclass_fields__}
        return arrays, [self.images.photo(int(number)) for number in batch.numbers]

    def validate(self, network: nn.Module) -> dict[str, float]:
        """By the losses' measures, and by the benchmark's protocol."""
        judged = cast(AnyNetwork, network)
        measured = validate(judged, self.objective, self.sets.validation, self.settings)
        return measured | (self.protocol(judged) if self.protocol else {})

    def score(self, measured: Mapping[str, float]) -> float:
        """The error of the shape where it is known, else that of the landmarks."""
        return measured.get("shape_ratio", measured.get("landmark_error", math.nan))

    def picture(self, network: nn.Module, least: int = 0) -> NDArray[np.uint8] | None:
        """Faces laid over their crops."""
        count = max(least, self.settings.pictures)
        if not count or not len(self.sets.validation):
            return None
        settings = self.settings.model_copy(update={"pictures": count})
        return draw_faces(cast(AnyNetwork, network), self.objective, self.sets.validation, settings)

    def fingerprint(self) -> str:
        """Images and settings."""
        free = {"epochs", "log_interval", "validation_interval", "validation_images", "checkpoint_interval"}
        free |= {"pictures", "workers", "processes", "nodes", "train", "validation", "start"}
        free.add("protocol_images")
        kept = self.settings.model_dump(mode="json", exclude=free, exclude_defaults=True)
        return f"{len(self.images)} images, {dict(sorted(kept.items()))}{self._origin}"

    def summary(self) -> dict[str, Any]:
        """How many images it was judged by, and whether it had seen them."""
        return {"validation_images": len(self.sets.validation), "validation_seen": self.sets.seen}

    def _augmented(self, stored: Mapping[str, Tensor], step: int, device: torch.device) -> TrainingBatch:
        batch = batch_from(dict(stored), device)
        seeds = draw_seeds(self.settings.seed, step, batch.numbers)
        drawn = alike_between_views(draw_augmentation(seeds, self.settings.augmentation), batch.target)
        return augment(batch, drawn, self.sets.mirror)
