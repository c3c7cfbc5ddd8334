"""What the report shows of the detail layer: the folder of each face, and how much detail it has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from facemill.runtime.errors import FormatError
from facemill.runtime.tables import OK, read_table

COLUMNS = ("photo", "status", "reason", "folder", "detail_rms", "detail_share")


@dataclass(frozen=True)
class DetailSetResults:
    """One photo set.

    Attributes:
        name: of the set.
        faces: rows of `export_detail` that are `ok`. without: faces of `reconstruct_coarse` that got none.
    """

    name: str
    faces: pd.DataFrame
    without: pd.DataFrame


def read_detail(tables: Iterable[str | Path]) -> tuple[DetailSetResults, ...]:
    """Read detail/<set>/export_detail/<shard>.parquet of each shard; sets in the order given.

    Raises:
        FormatError: a table is missing, damaged or lacks a column.
    """
    found: dict[str, list[pd.DataFrame]] = {}
    for path in map(Path, tables):
        table = read_table(path)
        missing = [name for name in COLUMNS if name not in table]
        if missing:
            raise FormatError(
                f"{path} lacks the columns {', '.join(missing)}",
                ", ".join(COLUMNS),
                ", ".join(map(str, table.columns)),
                "make it again",
            )
        found.setdefault(path.parent.parent.name, []).append(table)
    return tuple(_of_set(name, pd.concat(parts, ignore_index=True)) for name, parts in found.items())


def _of_set(name: str, table: pd.DataFrame) -> DetailSetResults:
    done = table["status"] == OK
    faces = table[done].sort_values("photo", ignore_index=True)
    had_face = table.get("landmark_error", pd.Series(index=table.index, dtype=float)).notna()
    return DetailSetResults(name, faces, table[~done & had_face].reset_index(drop=True))
