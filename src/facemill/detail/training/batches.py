"""Packed faces on disk, and the batches that are made of them.

A packed shard is a folder of plain arrays, one file each, so that a loader maps them into memory:

    photo.npy (N,) str                    labelled.npy (N,) bool: the displacement is known
    colours.npy (N, h, w, 3) uint8        the photo at the texels of the window
    weight.npy (N, h, w) uint8            evidence, 255 = 1; 0: nothing is seen
    scale.npy (N, h, w) uint8             32 log2(pixels per mm) + 128, rounded; 0: nothing is seen
    target.npy (N, h, w) int16            true displacement, 1e-4 mm; -32768: unknown
    identity.npy … lighting.npy           the coarse face, fields of `Coefficients`
    camera_distance.npy (N,) float32
    crops.npy (N, 224, 224, 3) uint8      attention.npy (N, 224, 224) uint8, 255 = surely skin
    window.npy (5,) int64                 size of the atlas; top, left, height, width of its window
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facemill.faces.crop_camera import CAMERA_DISTANCE
from facemill.models.coefficients import Coefficients
from facemill.runtime.errors import FormatError
from facemill.training.packed_arrays import PackedRows, open_packed

COEFFICIENTS = tuple(field.name for field in fields(Coefficients))
MAPS = ("colours", "weight", "scale", "target")
ARRAYS = ("photo", "labelled", *MAPS, *COEFFICIENTS, CAMERA_DISTANCE, "crops", "attention")
WINDOW = "window"
STEP = 1e-4  # mm of a stored displacement
UNKNOWN = -32768
SCALE_STEPS, SCALE_ZERO = 32, 128


@dataclass(frozen=True)
class DetailBatch:
    """B faces, on one device.

    Attributes:
        numbers: (B,) int64, which faces of the set these are.
        labelled: (B,) bool.
        colours: (B, h, w, 3) 0..1; weight: (B, h, w) 0..1.
        scale: (B, h, w) log2 of pixels per mm; 0 where nothing is seen.
        target: (B, h, w) millimetres, 0 where unknown; known: (B, h, w) bool.
        coefficients: of the coarse faces; camera_distance: (B,) mm.
        crops: (B, 224, 224, 3) 0..1; attention: (B, 224, 224) 0..1.
    """

    numbers: Tensor
    labelled: Tensor
    colours: Tensor
    weight: Tensor
    scale: Tensor
    target: Tensor
    known: Tensor
    coefficients: Coefficients
    camera_distance: Tensor
    crops: Tensor
    attention: Tensor

    def __len__(self) -> int:
        return len(self.numbers)


class PackedFaces(PackedRows):
    """The faces of packed shards, one after another; arrays are mapped, not loaded.

    Args:
        folders: packed shards.
        names: keep only photos of these names; None keeps all. without: leave out photos of these names.
        whole: folders of which `names` leaves out nothing.
    Raises:
        FormatError: a folder lacks an array, one is not whole, its arrays differ in length, or shards do not
            fit together.
    """

    def __init__(
        self,
        folders: Sequence[str | Path],
        names: frozenset[str] | None = None,
        without: frozenset[str] = frozenset(),
        whole: frozenset[str] = frozenset(),
    ) -> None:
        shards = [open_packed(Path(folder), "pack_detail", ARRAYS, (WINDOW,)) for folder in folders]
        super().__init__(shards, names, without, [str(folder) in whole for folder in folders])
        kinds = {(*shard[WINDOW].tolist(), shard["identity"].shape[1]) for shard in self.shards}
        if len(kinds) > 1:
            raise FormatError(
                "packed shards do not fit together",
                "one atlas, of one size, and one morphable model",
                "; ".join(map(str, sorted(kinds))),
                "pack them again (pack_detail) with one model and one size",
            )

    @property
    def window(self) -> tuple[int, ...]:
        """Size of the atlas; top, left, height, width of its window; empty without shards."""
        return tuple(int(value) for value in self.shards[0][WINDOW]) if self.shards else ()

    @property
    def identity_count(self) -> int:
        """Identity coefficients of the morphable model; 0 without shards."""
        return int(self.shards[0]["identity"].shape[1]) if self.shards else 0

    def __getitem__(self, number: int) -> dict[str, NDArray]:
        found = self.row(number, [name for name in ARRAYS if name != "photo"])
        return {**found, "numbers": np.array(number, dtype=np.int64)}

    def labelled(self) -> NDArray[np.bool_]:
        """(N,) whose displacement is known."""
        return np.array(self.column("labelled"), dtype=bool)


def collate(samples: list[dict[str, NDArray]]) -> dict[str, Tensor]:
    """Stack samples as they lie on disk (bytes stay bytes: a quarter of the memory to hand over)."""
    return {name: torch.from_numpy(np.stack([sample[name] for sample in samples])) for name in samples[0]}


def batch_from(stored: Mapping[str, Tensor], device: torch.device) -> DetailBatch:
    """A batch as the objective needs it."""
    moved = {name: value.to(device) for name, value in stored.items()}
    known = moved["target"] != UNKNOWN
    return DetailBatch(
        numbers=moved["numbers"],
        labelled=moved["labelled"],
        colours=moved["colours"].float() / 255,
        weight=moved["weight"].float() / 255,
        scale=decode_scale(moved["scale"]),
        target=torch.where(known, moved["target"].float() * STEP, torch.zeros(())),
        known=known,
        coefficients=Coefficients(**{name: moved[name].float() for name in COEFFICIENTS}),
        camera_distance=moved[CAMERA_DISTANCE].float(),
        crops=moved["crops"].float() / 255,
        attention=moved["attention"].float() / 255,
    )


def encode_scale(pixels_per_mm: Tensor) -> Tensor:
    """Pixels per mm as stored, uint8; 0 for 0."""
    steps = (SCALE_STEPS * torch.log2(pixels_per_mm.clamp(min=1e-6)) + SCALE_ZERO).round().clamp(1, 255)
    return torch.where(pixels_per_mm > 0, steps, torch.zeros_like(steps)).to(torch.uint8)


def decode_scale(stored: Tensor) -> Tensor:
    """log2 of pixels per mm; 0 where nothing is seen."""
    value = (stored.float() - SCALE_ZERO) / SCALE_STEPS
    return torch.where(stored > 0, value, torch.zeros_like(value))


def encode_displacement(displacement: Tensor) -> NDArray[np.int16]:
    """Millimetres as stored, NaN as unknown; beyond +-3.2767 mm the nearest that can be stored."""
    steps = (displacement.double() / STEP).round().clamp(-32767, 32767)
    known = torch.isfinite(displacement)
    stored: NDArray[np.int16] = torch.where(known, steps.nan_to_num(), UNKNOWN).cpu().numpy().astype(np.int16)
    return stored
