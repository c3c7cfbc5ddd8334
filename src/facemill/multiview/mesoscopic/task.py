"""The training of mesoscopic networks as the shared trainer sees it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facemill.multiview.mesoscopic.examples import OpenedCapture
from facemill.multiview.mesoscopic.objective import supervised_terms
from facemill.multiview.mesoscopic.patches import PatchOrder, PatchSet, augmented, collate_patches
from facemill.multiview.mesoscopic.settings import TrainMesoscopicSettings
from facemill.multiview.mesoscopic.trainee import MesoscopicTrainee
from facemill.multiview.mesoscopic.validation import draw_captures, validate
from facemill.training.order import draw_seeds
from facemill.training.task import StepLoss

FREE = {
    *("epochs", "log_interval", "validation_interval", "validation_images", "checkpoint_interval"),
    *("pictures", "workers", "processes", "nodes", "train", "validation", "start", "displacement_maps"),
}


class MesoscopicTask:
    """Trains on patches of captures; a `TrainingTask` whose network is a `MesoscopicTrainee`."""

    rule = "train_mesoscopic"
    weights_key = "trainee"

    def __init__(
        self, patches: PatchSet, held: Sequence[OpenedCapture], settings: TrainMesoscopicSettings
    ) -> None:
        self.images, self.held, self.settings = patches, held, settings
        self.validated_first = bool(settings.start)
        start = Path(settings.start).read_bytes() if settings.start else b""
        self._origin = f", begun with {hashlib.sha256(start).hexdigest()[:12]}" if start else ""

    def order(self, first: int, last: int, rank: int, world: int) -> PatchOrder:
        """Patches one by one."""
        settings = self.settings
        return PatchOrder(len(self.images), settings.batch, settings.seed, first, last, rank, world)

    def collate(self, samples: list[Any]) -> dict[str, Tensor]:
        """Patches of examples."""
        return collate_patches(samples)

    def loss(
        self, network: nn.Module, stored: Mapping[str, Tensor], step: int, device: torch.device
    ) -> StepLoss:
        """The terms of `objective` and of `trainee`, with their weights, on augmented patches."""
        weights = self.settings.weights
        seeds = draw_seeds(self.settings.seed, step, stored["numbers"])
        example = augmented(stored["maps"], seeds, self.settings.augmentation).to(device)
        output, adversarial = network(example)
        terms = {**supervised_terms(output, example, weights), **adversarial}
        factors = {
            **{name: getattr(weights, name) for name in ("relief", "slope", "surprise")},
            "adversarial": weights.adversarial,
            "matching": weights.adversarial * weights.matching,
            "discriminator": 1.0,
        }
        total = torch.stack([factors[name] * value for name, value in terms.items()]).sum()
        return StepLoss(total, {name: value.detach() for name, value in terms.items()})

    def bad_batch(
        self, stored: Mapping[str, Tensor], step: int, device: torch.device
    ) -> tuple[dict[str, NDArray], list[str]]:
        """The patches as they lie on disk, and the seeds of the augmentation."""
        seeds = draw_seeds(self.settings.seed, step, stored["numbers"])
        arrays = {name: value.numpy() for name, value in stored.items()}
        names = [self.images.capture_of(int(number)) for number in stored["numbers"]]
        return {**arrays, "seeds": np.array(seeds, dtype=np.uint64)}, names

    def validate(self, network: nn.Module) -> dict[str, float]:
        """See `validation.validate`."""
        generator = cast(MesoscopicTrainee, network).generator
        return validate(generator, self.held[: self.settings.validation_images])

    def score(self, measured: Mapping[str, float]) -> float:
        """What is left of the normals' error."""
        return measured.get("normal_ratio", float("nan"))

    def picture(self, network: nn.Module, least: int = 0) -> NDArray[np.uint8] | None:
        """Textures, and surfaces before, after, and in truth."""
        count = max(least, self.settings.pictures)
        if not count or not self.held:
            return None
        return draw_captures(cast(MesoscopicTrainee, network).generator, self.held[:count])

    def fingerprint(self) -> str:
        """Images and settings."""
        kept = self.settings.model_dump(mode="json", exclude=FREE, exclude_defaults=True)
        return f"{len(self.images)} patches, {dict(sorted(kept.items()))}{self._origin}"

    def summary(self) -> dict[str, Any]:
        """How many captures it was trained on and judged by, and whether it had seen one of these."""
        judged = {one.name for one in self.held}
        return {
            "captures": len(self.images.arrays),
            "validation_images": len(judged),
            "validation_seen": bool(judged & set(self.images.names)),
        }
