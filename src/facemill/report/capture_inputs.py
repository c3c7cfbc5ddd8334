"""What the report shows of captures: what became of each, its folder, and how far it is from its scan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facemill.runtime.inputs import read_json_object
from facemill.runtime.tables import read_csv

TABLE, EVALUATION = "captures.csv", Path("evaluate_base_mesh") / "result.json"
COLUMNS = ("capture", "person", "status", "reason", "views", "views_used")


@dataclass(frozen=True)
class CaptureResults:
    """One capture.

    Attributes:
        name: of the capture.
        row: its row of captures.csv, all values text.
        folder: with the files of `export_base_mesh` and `build_uv_maps`.
        evaluation: what `evaluate_base_mesh` wrote; None without a scan.
    """

    name: str
    row: Mapping[str, str]
    folder: Path
    evaluation: Mapping[str, Any] | None = None


def read_captures(files: Iterable[str | Path]) -> tuple[CaptureResults, ...]:
    """Read what a run made of its captures.

    Args:
        files: multiview/captures.csv, <capture>/evaluate_base_mesh/result.json, and others, which are left;
            none for a run without captures.

    Raises:
        FormatError: a file is missing or damaged, or the table lacks a column.
    """
    paths = [Path(path) for path in files]
    measured = {path.parent.parent.name: _json(path) for path in paths if path.parts[-2:] == EVALUATION.parts}
    return tuple(
        CaptureResults(row["capture"], row, path.parent / row["capture"], measured.get(row["capture"]))
        for path in paths
        if path.name == TABLE
        for row in _rows(path)
    )


def _rows(path: Path) -> list[dict[str, str]]:
    expected = "a CSV table of captures"
    table = read_csv(path, expected, "make it again", COLUMNS, dtype=str, keep_default_na=False)
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def _json(path: Path) -> Mapping[str, Any]:
    return read_json_object(path, "a JSON object", "make it again")
