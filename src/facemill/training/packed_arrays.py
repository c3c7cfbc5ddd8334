"""Packed shards on disk: a folder of plain arrays, one file each, so that a loader maps them into memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from facemill.runtime.errors import FormatError
from facemill.runtime.files import load_array


def open_packed(
    folder: Path, rule: str, rows: Sequence[str], others: Sequence[str] = (), optional: Sequence[str] = ()
) -> dict[str, NDArray]:
    """Map the arrays of a shard into memory.

    Args:
        rule: that packs such shards, for messages.
        rows: names of the arrays that have a row per image; others: of those that do not.
        optional: which of them may be absent (from shards of older versions).
    Raises:
        FormatError: an array is missing or damaged, or those of `rows` differ in length or have none.
    """
    remedy = f"delete the folder and run {rule} again"
    paths = {name: folder / f"{name}.npy" for name in (*rows, *others)}
    arrays = {
        name: load_array(path, f"an array that {rule} wrote", remedy, mapped=True)
        for name, path in paths.items()
        if name not in optional or path.is_file()
    }
    lengths = {name: arrays[name].shape[:1] for name in rows if name in arrays}
    if len(set(lengths.values())) > 1 or () in lengths.values():
        raise FormatError(
            f"{folder}: arrays of different length",
            "one row per image in each",
            ", ".join(
                f"{name} {length[0] if length else 'a single value'}" for name, length in lengths.items()
            ),
            remedy,
        )
    return arrays


class PackedRows(Dataset):
    """The images of packed shards, one after another.

    Attributes:
        shards: arrays by name, each with an array `photo` of names.
        places: (N, 2), the shard of each image and its row there.
    """

    def __init__(
        self,
        shards: Sequence[Mapping[str, NDArray]],
        names: frozenset[str] | None,
        without: frozenset[str],
        whole: Sequence[bool] | None = None,
    ) -> None:
        """Choose rows.

        Args:
            names: keep only photos of these names; None keeps all. without: leave out these.
            whole: of each shard, whether it keeps all but `without`, whatever `names` says; None: of none.
        """
        self.shards = list(shards)
        places = [np.zeros((0, 2), dtype=np.int64)]
        unfiltered = whole or [False] * len(self.shards)
        for number, shard in enumerate(self.shards):
            rows = np.arange(len(shard["photo"]))
            if names is not None and not unfiltered[number]:
                rows = rows[np.isin(shard["photo"], sorted(names))]
            if without:
                rows = rows[~np.isin(shard["photo"][rows], sorted(without))]
            places.append(np.stack((np.full(len(rows), number), rows), axis=1))
        self.places = np.concatenate(places)

    def __len__(self) -> int:
        return len(self.places)

    def row(self, number: int, arrays: Sequence[str]) -> dict[str, NDArray]:
        """What some arrays hold of an image."""
        shard, row = self.places[number]
        return {name: self.shards[shard][name][row] for name in arrays}

    def photo(self, number: int) -> str:
        """Name of an image."""
        return str(self.row(number, ("photo",))["photo"])

    def column(self, name: str) -> list:
        """What an array holds of each image."""
        return [self.shards[shard][name][row] for shard, row in self.places]
