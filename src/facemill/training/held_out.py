"""Photos that `split_dataset` keeps out of every training."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from facemill.runtime.tables import read_csv


def held_out_photos(tables: Iterable[str | Path]) -> frozenset[str]:
    """Names of the photos in the `val.csv` of `split_dataset`.

    Raises:
        FormatError: a table is missing, is none, or has no column `photo`.
    """
    found = (read_csv(table, "a split", "make it again", ("photo",), dtype=str)["photo"] for table in tables)
    return frozenset(str(name) for names in found for name in names)
