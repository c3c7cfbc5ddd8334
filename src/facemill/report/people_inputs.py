"""What the report shows of people: who was made of which photos, and the folder of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from facemill.runtime.errors import FormatError
from facemill.runtime.tables import read_table

PEOPLE = "_people"  # ends the name of a table of people, beside that of their photos
COLUMNS = {
    "photos": ("photo", "person", "used", "left_out", "left_out_reason"),
    "people": ("person", "status", "reason", "photos", "used", "spread"),
    "exported": ("person", "status", "reason", "folder"),
}


@dataclass(frozen=True)
class PeopleSetResults:
    """One set of people.

    Attributes:
        name: of the set.
        photos: a row per photo: whose it is, and why it is left out if it is.
        people: a row per person, from `reconstruct_person`; `folder` is that of `export_person`, or empty.
    """

    name: str
    photos: pd.DataFrame
    people: pd.DataFrame


def read_people(
    reconstructed: Iterable[str | Path], exported: Iterable[str | Path] = ()
) -> tuple[PeopleSetResults, ...]:
    """Read what `reconstruct_person` and `export_person` wrote; sets in the order given.

    Args:
        reconstructed: people/<set>/reconstruct_person/<shard>.parquet and <shard>_people.parquet.
        exported: people/<set>/export_person/<shard>.parquet, of the sets that were exported.
    Raises:
        FormatError: a table is missing, damaged or lacks a column.
    """
    found: dict[str, dict[str, list[pd.DataFrame]]] = {}
    for path in map(Path, reconstructed):
        kind = "people" if path.stem.endswith(PEOPLE) else "photos"
        found.setdefault(_set_of(path), {}).setdefault(kind, []).append(_read(path, kind))
    for path in map(Path, exported):
        found.setdefault(_set_of(path), {}).setdefault("exported", []).append(_read(path, "exported"))
    return tuple(
        PeopleSetResults(name, _joined(tables, "photos"), _with_folders(tables))
        for name, tables in found.items()
    )


def _with_folders(tables: dict[str, list[pd.DataFrame]]) -> pd.DataFrame:
    """The people with their folders; a person that could not be exported says why."""
    people, exported = _joined(tables, "people"), _joined(tables, "exported")
    exported = exported.drop_duplicates("person").set_index("person")[["status", "reason", "folder"]]
    people = people.set_index("person", drop=False).assign(folder="")
    known = people.index.intersection(exported.index)
    people.loc[known, ["status", "reason", "folder"]] = exported.loc[known].fillna("")
    return people.sort_index().reset_index(drop=True)


def _joined(tables: dict[str, list[pd.DataFrame]], kind: str) -> pd.DataFrame:
    found = tables.get(kind, [])
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=list(COLUMNS[kind]))


def _set_of(path: Path) -> str:
    return path.parent.parent.name


def _read(path: Path, kind: str) -> pd.DataFrame:
    table = read_table(path)
    missing = [name for name in COLUMNS[kind] if name not in table]
    if missing:
        raise FormatError(
            f"{path} lacks the columns {', '.join(missing)}",
            ", ".join(COLUMNS[kind]),
            ", ".join(map(str, table.columns)),
            "make it again",
        )
    return table
