"""Packed training images on disk, and the batches that are made of them.

A packed shard is a folder of plain arrays, one file each, so that a loader maps them into memory and reads
only the images of its batch, however large the set:

    crops.npy (N, S, S, 3) uint8        attention.npy (N, S, S) uint8, 255 = surely skin
    landmarks.npy (N, 68, 2) float32    pixels of the 224 crop
    photo.npy (N,) str                  labelled.npy (N,) bool: the rows below are truth, else 0
    identity.npy (N, K), floor.npy (N,), mean_error.npy (N,)     targets of `ShapeForm`, mm^2
    strengths.npy (N, S) float32, rotation.npy (N, 3), translation.npy (N, 3)
    dense_landmarks.npy (N, D, 2) float32    pixels of the 224 crop of the model's vertices
    dense_vertices.npy (D,) int64            which are the same for all images; D is 0 without labels
    person.npy (N,) str                 whose image (`person_key`); "" or no such file where nobody knows
    tuples.npy (T, 3) int64             rows (source, target, source) of views of one sitting, -1 = none
    tuple_flags.npy (T,) int64          MGCNet's flags of the tuples; neither file in shards of before
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facemill.runtime.errors import FormatError
from facemill.training.packed_arrays import PackedRows, open_packed

LABELS = ("identity", "floor", "mean_error", "strengths", "rotation", "translation")
DENSE, DENSE_VERTICES = "dense_landmarks", "dense_vertices"
PERSON, TUPLES, TUPLE_FLAGS = "person", "tuples", "tuple_flags"
OF_SHARDS = (DENSE_VERTICES, TUPLES, TUPLE_FLAGS)  # have another length than there are images
ARRAYS = ("crops", "attention", "landmarks", "photo", "labelled", *LABELS, DENSE)


@dataclass(frozen=True)
class TrainingBatch:
    """B images, on one device.

    Attributes:
        crops: (B, S, S, 3) colours 0..1; attention: (B, S, S), 0..1.
        landmarks: (B, 68, 2) pixels of the 224 crop, whatever S is.
        labelled: (B,) bool; the labels of other rows are 0 and count nowhere.
        identity: (B, K); floor, mean_error: (B,) mm^2; strengths: (B, S); rotation: (B, 3) radians;
            translation: (B, 3) mm; dense_landmarks: (B, D, 2) pixels of the 224 crop.
        numbers: (B,) int64, which images of the set these are.
        target: (B,) int64, the row of the batch that this view is a source of, -1 for none; flag: (B,)
            int64, what may be compared between the two: MGCNet's flag of the pair.
    """

    crops: Tensor
    attention: Tensor
    landmarks: Tensor
    labelled: Tensor
    identity: Tensor
    floor: Tensor
    mean_error: Tensor
    strengths: Tensor
    rotation: Tensor
    translation: Tensor
    dense_landmarks: Tensor
    numbers: Tensor
    target: Tensor
    flag: Tensor

    def __len__(self) -> int:
        return len(self.crops)

    def to(self, device: torch.device) -> TrainingBatch:
        """The same batch on another device."""
        return TrainingBatch(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def select(self, rows: Tensor | slice) -> TrainingBatch:
        """Some of its images."""
        return TrainingBatch(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


class View(NamedTuple):
    """An image in a batch: its number, the row of its target in the batch (-1: none), the pair's flag."""

    number: int
    target: int = -1
    flag: int = 0


class PackedShards(PackedRows):
    """The images of packed shards, one after another; arrays are mapped, not loaded.

    Attributes:
        group: so many images that follow one another belong together, and are validated together.

    Args:
        folders: packed shards.
        names: keep only photos of these names; None keeps all. without: leave out photos of these names.
        whole: folders of which `names` leaves out nothing.
    Raises:
        FormatError: a folder lacks an array, its arrays differ in length, or shards do not fit together.
    """

    def __init__(
        self,
        folders: Sequence[str | Path],
        names: frozenset[str] | None = None,
        without: frozenset[str] = frozenset(),
        whole: frozenset[str] = frozenset(),
    ) -> None:
        shards = [_open_shard(Path(folder)) for folder in folders]
        super().__init__(shards, names, without, [str(folder) in whole for folder in folders])
        self.group = 1
        shapes = {shard["crops"].shape[1:] + shard["identity"].shape[1:] for shard in self.shards}
        if len(shapes) > 1:
            raise FormatError(
                "packed shards do not fit together",
                "crops of one size, labels of one morphable model",
                ", ".join(map(str, sorted(shapes))),
                "pack them again with one setting of pack_training.reduction",
            )
        dense = {tuple(s[DENSE_VERTICES].tolist()) for s in self.shards if len(s[DENSE_VERTICES])}
        if len(dense) > 1:
            raise FormatError(
                "packed shards do not fit together",
                "dense landmarks at the same vertices in all",
                f"{len(dense)} different choices",
                "make the synthetic sets again with one version",
            )
        self.dense_vertices: tuple[int, ...] = next(iter(dense), ())

    @property
    def side(self) -> int:
        """Pixels along each side of a stored crop; 0 without shards."""
        return self.shards[0]["crops"].shape[1] if self.shards else 0

    @property
    def has_labels(self) -> bool:
        """Whether the shards know the truth of any image."""
        return any(bool(shard["labelled"].any()) for shard in self.shards)

    def __getitem__(self, place: int | View) -> dict[str, NDArray]:
        view = place if isinstance(place, View) else View(place)
        found = self.row(view.number, [name for name in ARRAYS if name != "photo"])
        if len(found[DENSE]) != len(self.dense_vertices):
            found[DENSE] = np.zeros((len(self.dense_vertices), 2), np.float32)
        links = {"numbers": view.number, "target": view.target, "flag": view.flag}
        return {**found, **{name: np.array(value, dtype=np.int64) for name, value in links.items()}}

    def people(self) -> NDArray[np.str_]:
        """(N,) whose each image is, "" where nobody knows."""
        return np.array(self.column(PERSON), dtype=str)

    def tuples(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Numbers (T, 3) of the images (source, target, source), -1 = none, and flags (T,).

        Tuples whose target, or both of whose sources, are not among the images are left out.
        """
        rows, flags = [np.zeros((0, 3), np.int64)], [np.zeros(0, np.int64)]
        for number, shard in enumerate(self.shards):
            image_of = np.full(len(shard["photo"]) + 1, -1)  # the last one is what -1 asks for
            mine = np.flatnonzero(self.places[:, 0] == number)
            image_of[self.places[mine, 1]] = mine
            found = image_of[shard[TUPLES]]
            kept = (found[:, 1] >= 0) & (found[:, [0, 2]] >= 0).any(1)
            rows.append(found[kept])
            flags.append(shard[TUPLE_FLAGS][kept])
        return np.concatenate(rows), np.concatenate(flags)


def person_key(person: str, people_set: str = "") -> str:
    """What packed shards call a person; people of one name in two sets of people are two.

    Args:
        people_set: the set that the name is of; empty where a name means one person everywhere.

    >>> person_key("ann", "family"), person_key("person_000001"), person_key("", "family")
    ('family/ann', 'person_000001', '')
    """
    return f"{people_set}/{person}" if person and people_set else person


def collate(samples: list[dict[str, NDArray]]) -> dict[str, Tensor]:
    """Stack samples as they lie on disk (bytes stay bytes: a quarter of the memory to hand over)."""
    return {name: torch.from_numpy(np.stack([sample[name] for sample in samples])) for name in samples[0]}


def batch_from(stored: dict[str, Tensor], device: torch.device) -> TrainingBatch:
    """A batch as the network needs it."""
    moved = {name: value.to(device) for name, value in stored.items()}
    moved.setdefault("target", torch.full_like(moved["numbers"], -1))
    moved.setdefault("flag", torch.zeros_like(moved["numbers"]))
    for name in ("crops", "attention"):
        moved[name] = moved[name].float() / 255
    return TrainingBatch(**{n: v.float() if v.dtype == torch.float64 else v for n, v in moved.items()})


def _open_shard(folder: Path) -> dict[str, NDArray]:
    added = (PERSON, TUPLES, TUPLE_FLAGS)
    arrays = open_packed(folder, "pack_training", (*ARRAYS, PERSON), OF_SHARDS, added)
    nothing = {PERSON: np.full(len(arrays["photo"]), ""), TUPLES: np.zeros((0, 3), np.int64)}
    nothing[TUPLE_FLAGS] = np.zeros(0, np.int64)
    return nothing | arrays
