"""Patches of captures with true displacement, augmented: what one step of a training sees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facemill.multiview.regularization.evidence import (
    ScoreBand,
    SurfaceEvidence,
    middle_of,
    network_input,
)
from facemill.multiview.regularization.settings import RegularizerAugmentationSettings
from facemill.multiview.regularization.spec import RegularizerSpec
from facemill.multiview.texel_grid import TexelGrid
from facemill.runtime.seeds import generator_of
from facemill.training.order import EpochOrder

LEAST_DISTANCE = 0.1  # mm between texels, so that slopes stay finite
KNOTS = 4  # along the sides of a patch, of the smooth error of its start
JUMP = 1.0  # slope of the truth between two texels, above which they lie on two sides of an edge


@dataclass(frozen=True)
class TrainingFace:
    """One capture with its truth.

    truth: (H, W) float32 mm, NaN where the scan is not met. down, across: (H, W) float32, mm to the next
    texel below and to the right.
    """

    name: str
    evidence: SurfaceEvidence
    truth: NDArray[np.float32]
    down: NDArray[np.float32]
    across: NDArray[np.float32]


def training_face(name: str, grid: TexelGrid, evidence: SurfaceEvidence) -> TrainingFace:
    """Raises ValueError for a grid without truth."""
    if grid.truth is None:
        raise ValueError(f"{name}: expected a capture with a scan, found none")
    down, across = (
        np.maximum(
            np.linalg.norm(
                np.diff(
                    grid.position,
                    axis=axis,
                    append=grid.position[-1:] if axis == 0 else grid.position[:, -1:],
                ),
                axis=-1,
            ),
            LEAST_DISTANCE,
        ).astype(np.float32)
        for axis in (0, 1)
    )
    return TrainingFace(name, evidence, grid.truth.astype(np.float32), down, across)


class FacePatches:
    """Patches by position in the order of a training: patch p is a pure function of the seed and p.

    Each is a square of `side` texels about a texel of the mask of a capture, all drawn at random.

    Args:
        faces: at least one. per_face: patches per capture and epoch; the length is that of an epoch.
        side: texels, a multiple of 4.
    """

    def __init__(
        self,
        faces: Sequence[TrainingFace],
        spec: RegularizerSpec,
        side: int,
        per_face: int,
        augmentation: RegularizerAugmentationSettings,
        seed: int,
    ) -> None:
        self.faces, self.spec, self.side, self.per_face = faces, spec, side, per_face
        self.augmentation, self.seed = augmentation, seed
        self.texels = [np.argwhere(face.evidence.mask) for face in faces]

    def __len__(self) -> int:
        return len(self.faces) * self.per_face

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        """volume (C, D, h, w); residual (h, w) mm from the middle of the band, NaN where the truth is not
        known; down, across (h, w) mm; middle (h, w) mm; number ()."""
        random = generator_of(self.seed, "patch", str(position))
        chosen = int(random.integers(len(self.faces)))
        face = self.faces[chosen]
        texel = self.texels[chosen][int(random.integers(len(self.texels[chosen])))]
        rows, columns = (
            _span(int(place), self.side, size) for place, size in zip(texel, face.truth.shape, strict=True)
        )
        evidence = _disturbed(face.evidence.part(rows, columns), self.augmentation, random)
        middle = middle_of(evidence, self.spec)
        if self.spec.kind == "compact":
            middle = middle + _smooth_noise(self.augmentation.start_error, middle.shape, random)
        sample = {
            "volume": network_input(evidence, self.spec, middle),
            "residual": _tensor(np.where(evidence.mask, face.truth[rows, columns] - middle, np.nan)),
            "down": _tensor(face.down[rows, columns]),
            "across": _tensor(face.across[rows, columns]),
            "middle": _tensor(middle),
            "number": torch.tensor(position),
        }
        if random.random() < self.augmentation.flip:
            sample = {name: _mirrored(name, values) for name, values in sample.items()}
        return sample

    def name(self, position: int) -> str:
        """The capture of a patch."""
        random = generator_of(self.seed, "patch", str(position))
        return self.faces[int(random.integers(len(self.faces)))].name


class PatchOrder(EpochOrder):
    """Positions one after another: every patch of every epoch is new."""

    def image_at(self, position: int) -> int:
        """The position itself."""
        return position

    def __iter__(self) -> Iterator[list[Any]]:
        return super().__iter__()


def collate_patches(samples: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Patches of a step, one after another."""
    return {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}


def _span(middle: int, side: int, size: int) -> slice:
    """`side` texels about one, inside a map of `size`.

    >>> _span(1, 8, 20), _span(19, 8, 20)
    (slice(0, 8, None), slice(12, 20, None))
    """
    first = min(max(0, middle - side // 2), max(0, size - side))
    return slice(first, first + side)


def _disturbed(
    evidence: SurfaceEvidence, settings: RegularizerAugmentationSettings, random: np.random.Generator
) -> SurfaceEvidence:
    """Noise on the scores; and of some patches a rectangle without scores and matches."""
    bands = dict(evidence.bands)
    height, width = evidence.mask.shape
    hole = np.zeros((height, width), dtype=bool)
    if random.random() < settings.erased:
        tall, wide = (int(size * random.uniform(0.1, 0.4)) for size in (height, width))
        top, left = int(random.integers(height - tall + 1)), int(random.integers(width - wide + 1))
        hole[top : top + tall, left : left + wide] = True
    for name, band in bands.items():
        noise = settings.noise * random.random() * random.standard_normal(band.scores.shape)
        scores = (band.scores.astype(np.float32) + noise).astype(np.float16)
        bands[name] = ScoreBand(np.where(hole[..., None], np.float16(np.nan), scores), band.start, band.step)
    parts = {name: getattr(evidence, name) for name in evidence.__dataclass_fields__}
    parts |= {
        "bands": bands,
        "matched": np.where(hole, np.nan, evidence.matched).astype(np.float32),
        "confidence": np.where(hole, 0, evidence.confidence),
        "support": np.where(hole, 0, evidence.support).astype(np.float32),
        "source": np.where(hole, 0, evidence.source).astype(np.uint8),
    }
    return SurfaceEvidence(**parts)


def _smooth_noise(deviation: float, shape: tuple[int, ...], random: np.random.Generator) -> NDArray:
    """(h, w) float32 mm: a smooth field, cubic between 4 x 4 drawn numbers."""
    knots = torch.from_numpy(deviation * random.random() * random.standard_normal((1, 1, KNOTS, KNOTS)))
    field = torch.nn.functional.interpolate(knots, shape, mode="bicubic", align_corners=True)
    return np.asarray(field[0, 0].numpy(), dtype=np.float32)


def _mirrored(name: str, values: Tensor) -> Tensor:
    """A sample from right to left; `across` belongs to the pair of a texel and its right neighbour."""
    if not values.ndim:
        return values
    flipped = values.flip(-1)
    return torch.roll(flipped, -1, dims=-1) if name == "across" else flipped


def _tensor(values: NDArray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
