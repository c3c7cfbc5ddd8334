"""One table of all photos of a set, for people and spreadsheets."""

import csv
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from facemill.runtime.files import atomic_path

COLUMNS = [
    "photo",
    "status",
    "reason",
    "shard",
    "file",
    "width",
    "height",
    "face_count",
    "score",
    "points_source",
    "crop_scale",
    "crop_outside",
    "landmark_score",
    "skin_share",
    "format",
    "bytes",
    "person",
    "sitting",
]


def tabulate_faces(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """All rows of all shards, in the order of `photo`, with the columns that fit a spreadsheet.

    Args:
        tables: one per shard, of the last photo stage; columns of stages that did not run are empty.
    """
    rows = pd.concat([table.reindex(columns=COLUMNS).astype(object) for table in tables], ignore_index=True)
    rows = rows.astype(dict.fromkeys(["width", "height", "face_count", "bytes"], "Int64"))
    return rows.sort_values("photo", ignore_index=True)


def write_csv(path: str | Path, table: pd.DataFrame) -> None:
    """Write `table` as UTF-8 CSV, atomically; texts are quoted: names may hold commas and line breaks."""
    with atomic_path(path) as partial:
        table.to_csv(
            partial, index=False, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n", encoding="utf-8"
        )
