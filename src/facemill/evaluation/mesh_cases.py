"""Predictions and true meshes that a table pairs: for protocols whose data sets have layouts of their own.

A CSV table with a row per mesh: `case` (a name), `prediction`, `truth` (mesh files), `prediction_points`,
`truth_points` (files of the same L >= 3 points: text, `.npy` or `.pp`); paths are relative to the table.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from facemill.evaluation.settings import Origin
from facemill.formats.landmarks import read_points_3d
from facemill.formats.meshes import read_mesh
from facemill.geometry.mesh import FloatArray, Mesh
from facemill.runtime.errors import FormatError, PhotoError
from facemill.runtime.files import write_json, write_text
from facemill.runtime.inputs import is_plain_file
from facemill.runtime.storage import is_machine_fault
from facemill.runtime.tables import ERROR, OK, read_csv

COLUMNS = ("case", "prediction", "truth", "prediction_points", "truth_points")
MISSING = "missing_prediction"

logger = logging.getLogger(__name__)


class MeshPair(NamedTuple):
    """What a row names: two meshes, and their points (L, 3), each in the frame of its mesh; its numbers."""

    prediction: Mesh
    truth: Mesh
    prediction_points: FloatArray
    truth_points: FloatArray
    numbers: Mapping[str, float] = {}


class MeshFigure(NamedTuple):
    """error: mm, of one mesh; points: how many it is about."""

    error: float
    points: int


@dataclass(frozen=True)
class MeshEvaluation:
    """`table`: a row per case: `case`, `error` (mm), `points`, `status`, `reason`."""

    table: pd.DataFrame
    protocol: str
    origin: Origin

    def summary(self) -> dict[str, Any]:
        """Mean and population standard deviation over meshes, mm; None when none was scored."""
        good = self.table[self.table["status"] == OK]
        return {
            "protocol": self.protocol,
            "origin": self.origin,
            "mean": float(good["error"].mean()) if len(good) else None,
            "std": float(good["error"].std(ddof=0)) if len(good) else None,
            **counts_of(self.table),
        }


def score_table(
    cases: str | Path,
    score: Callable[[MeshPair], Sequence[Any]],
    columns: Sequence[str],
    numbers: Sequence[str] = (),
) -> pd.DataFrame:
    """Score each row of the table; one that cannot be scored becomes a row with a reason.

    Args:
        score: gives the values of `columns` for one row.
        numbers: further columns of the table, which must hold a number in each row.
    Returns:
        A row per case: `case`, `numbers`, `columns`, `status`, `reason`; NaN where nothing was scored.
    Raises:
        FormatError: the table is missing, lacks a column, is empty or names a case twice.
    """
    table = _read_table(Path(cases), (*COLUMNS, *numbers))
    rows = []
    for row in table.to_dict("records"):
        figures: Sequence[Any] = [np.nan] * len(columns)
        values, status, reason = dict.fromkeys(numbers, np.nan), OK, ""
        try:
            values = _numbers_of(row, numbers)
            figures = score(_read_pair(Path(cases).parent, row)._replace(numbers=values))
        except PhotoError as error:
            status, reason = error.status, error.reason
        except Exception as error:  # a case must not end the others: it ends as a row
            if is_machine_fault(error):
                raise
            logger.error("%s: %s", row["case"], traceback.format_exc())
            status, reason = ERROR, f"{type(error).__name__}: {error}"
        rows.append((row["case"], *values.values(), *figures, status, reason))
    return pd.DataFrame(rows, columns=["case", *numbers, *columns, "status", "reason"])


def evaluate_pairs(
    cases: str | Path, score: Callable[[MeshPair], MeshFigure], protocol: str, origin: Origin
) -> MeshEvaluation:
    """Score each row of the table by one error.

    Raises:
        FormatError: as `score_table`.
    """
    table = score_table(cases, score, MeshFigure._fields).fillna({"points": 0}).astype({"points": int})
    return MeshEvaluation(table, protocol, origin)


def counts_of(table: pd.DataFrame) -> dict[str, Any]:
    """How many rows of `score_table` were scored, how many not, and why."""
    rest = table[table["status"] != OK]
    missing = int((rest["status"] == MISSING).sum())
    return {
        "cases": len(table),
        "scored": len(table) - len(rest),
        "missing": missing,
        "failed": len(rest) - missing,
        "not_scored": {row.case: f"{row.status}: {row.reason}" for row in rest.itertuples()},
    }


def write_pairs(evaluation: MeshEvaluation, summary: str | Path, cases: str | Path) -> None:
    """Write the figures (JSON) and a row per case (CSV)."""
    write_json(summary, evaluation.summary())
    write_text(cases, evaluation.table.to_csv(index=False, lineterminator="\n"))


def _read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    expected = "a CSV table with the columns " + ", ".join(columns)
    table = read_csv(path, expected, "complete it", columns, dtype=str, keep_default_na=False)
    if table.empty:
        raise FormatError(f"{path} is no table of cases", expected, "no row", "complete it")
    if table["case"].duplicated().any():
        name = table["case"][table["case"].duplicated()].iloc[0]
        raise FormatError(f"{path} names a case twice", "a name per row", name, "rename one")
    return table


def _numbers_of(row: Mapping[Any, Any], names: Sequence[str]) -> dict[str, float]:
    values = {}
    for name in names:
        try:
            values[name] = float(row[name])
        except ValueError:
            raise PhotoError("bad_ground_truth", f"column {name} holds {row[name]!r}, no number") from None
    return values


def _read_pair(folder: Path, row: Mapping[Any, Any]) -> MeshPair:
    places = {name: folder / Path(row[name]).expanduser() for name in COLUMNS[1:]}
    if not is_plain_file(places["prediction"]):
        raise PhotoError(MISSING, f"{places['prediction']} is missing")
    parts: dict[str, Any] = {}
    for name, place in places.items():
        status = "bad_prediction" if name.startswith("prediction") else "bad_ground_truth"
        try:
            parts[name] = read_points_3d(place) if name.endswith("points") else read_mesh(place)
        except FormatError as error:
            raise PhotoError(status, error.sentence) from error
    ours, theirs = len(parts["prediction_points"]), len(parts["truth_points"])
    if ours != theirs or ours < 3:
        raise PhotoError(
            "bad_prediction",
            f"{places['prediction_points']} holds {ours} points, {places['truth_points']} {theirs}; "
            "expected the same three or more in both",
        )
    return MeshPair(**parts)
