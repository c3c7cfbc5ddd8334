"""The training of matching networks as the shared trainer sees it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facemill.multiview.implicit.network import ImplicitNetwork
from facemill.multiview.implicit.settings import TrainImplicitSettings
from facemill.multiview.implicit.spec import ImplicitSpec
from facemill.multiview.implicit.training.captures import TrainingCapture
from facemill.multiview.implicit.training.objective import (
    peak_loss,
    place_loss,
    published_loss,
    score_loss,
)
from facemill.multiview.implicit.training.patches import TrainingPatch, draw_patch
from facemill.multiview.implicit.training.validation import draw_bands, moved_queries, validate
from facemill.training.order import EpochOrder, draw_seeds
from facemill.training.task import StepLoss

PLACE_WEIGHT = 0.3


class ImplicitTask:
    """Trains on patches of captures; a `TrainingTask`. Image n is a patch of capture n mod their number."""

    rule = "train_implicit"
    weights_key = "network"

    def __init__(
        self,
        spec: ImplicitSpec,
        train: Sequence[TrainingCapture],
        held: Sequence[TrainingCapture],
        settings: TrainImplicitSettings,
        margin: int,
        seen: bool,
    ) -> None:
        self.spec, self.train, self.held, self.settings = spec, train, held, settings
        self.margin, self.seen = margin, seen
        self.images = range(len(train) * settings.patches)
        self.validated_first = bool(settings.start)
        start = Path(settings.start).read_bytes() if settings.start else b""
        self._origin = f", begun with {hashlib.sha256(start).hexdigest()[:12]}" if start else ""

    def order(self, first: int, last: int, rank: int, world: int) -> EpochOrder:
        """Patches one by one."""
        settings = self.settings
        return EpochOrder(len(self.images), settings.batch, settings.seed, first, last, rank, world)

    def collate(self, samples: list[Any]) -> dict[str, Tensor]:
        """Their numbers: captures are in memory already."""
        return {"numbers": torch.tensor(samples, dtype=torch.int64)}

    def patches(self, stored: Mapping[str, Tensor], step: int) -> list[TrainingPatch]:
        """The patches of a step: the same for the same seed, step and numbers."""
        seeds = draw_seeds(self.settings.seed, step, stored["numbers"])
        pairs = zip(stored["numbers"].tolist(), seeds, strict=True)
        return [
            draw_patch(self.train[number % len(self.train)], self.spec, self.settings, seed, self.margin)
            for number, seed in pairs
        ]

    def loss(
        self, network: nn.Module, stored: Mapping[str, Tensor], step: int, device: torch.device
    ) -> StepLoss:
        """Of scores and of their peaks, or the published mean square."""
        patches = self.patches(stored, step)
        outputs = network([moved_queries(patch, device) for patch in patches])
        parts: dict[str, list[Tensor]] = {}
        for patch, logits in zip(patches, outputs, strict=True):
            displacement, truth = patch.queries.displacement.to(device), patch.truth.to(device)
            sigma = patch.scale.sigma
            if self.settings.sampling == "published":
                terms = {"score": published_loss(logits, displacement, truth, sigma)}
            else:
                terms = {"score": score_loss(logits, displacement, truth, sigma, patch.flat)}
                if not patch.flat:
                    terms["peak"] = peak_loss(logits, displacement, truth, sigma)
                    terms["place"] = place_loss(logits, displacement, truth, sigma)
            for name, value in terms.items():
                parts.setdefault(name, []).append(value)
        sums = {name: torch.stack(values).sum() / len(patches) for name, values in parts.items()}
        loss = self.settings.score_weight * sums["score"]
        loss = loss + sums.get("peak", 0.0) + PLACE_WEIGHT * sums.get("place", 0.0)
        return StepLoss(loss, {name: value.detach() for name, value in sums.items()})

    def bad_batch(
        self, stored: Mapping[str, Tensor], step: int, device: torch.device
    ) -> tuple[dict[str, NDArray], list[str]]:
        """Numbers and seeds of the patches, and their captures."""
        seeds = draw_seeds(self.settings.seed, step, stored["numbers"])
        names = [self.train[int(number) % len(self.train)].name for number in stored["numbers"]]
        return {"numbers": stored["numbers"].numpy(), "seeds": np.array(seeds, dtype=np.uint64)}, names

    def validate(self, network: nn.Module) -> dict[str, float]:
        """See `validation.validate`."""
        count = self.settings.validation_images
        return validate(cast(ImplicitNetwork, network), self.held, count, self.margin)

    def score(self, measured: Mapping[str, float]) -> float:
        """Mean error of the found displacement, at most 1 mm each."""
        return measured["robust"]

    def picture(self, network: nn.Module, least: int = 0) -> NDArray[np.uint8] | None:
        """Scores along the bands of some patches."""
        count = max(least, self.settings.pictures)
        return draw_bands(cast(ImplicitNetwork, network), self.held, count, self.margin) if count else None

    def fingerprint(self) -> str:
        """Captures and settings."""
        free = {"epochs", "log_interval", "validation_interval", "validation_images", "checkpoint_interval"}
        free |= {"pictures", "workers", "processes", "nodes", "train", "validation", "start"}
        kept = self.settings.model_dump(mode="json", exclude=free, exclude_defaults=True)
        return f"{len(self.train)} captures, {dict(sorted(kept.items()))}{self._origin}"

    def summary(self) -> dict[str, Any]:
        """On how many captures it was trained, by how many judged, and whether it had seen one of these."""
        return {
            "captures": len(self.train),
            "validation_images": len(self.held),
            "validation_seen": self.seen,
        }
