"""Packed shards on disk: a folder of plain arrays, one file each, so that a loader maps them into memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from numpy.typing import NDArray

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
        FormatError: an array is missing or damaged, or those of `rows` differ in length.
    """
    remedy = f"delete the folder and run {rule} again"
    paths = {name: folder / f"{name}.npy" for name in (*rows, *others)}
    arrays = {
        name: load_array(path, f"an array that {rule} wrote", remedy, mapped=True)
        for name, path in paths.items()
        if name not in optional or path.is_file()
    }
    lengths = {name: len(arrays[name]) for name in rows if name in arrays}
    if len(set(lengths.values())) > 1:
        raise FormatError(
            f"{folder}: arrays of different length",
            "one row per image in each",
            ", ".join(f"{name} {length}" for name, length in lengths.items()),
            remedy,
        )
    return arrays
