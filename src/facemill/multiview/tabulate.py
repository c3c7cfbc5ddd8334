"""One row per capture: what became of it, and how well everything fits."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from facemill.formats.captures import OK, read_capture_file
from facemill.runtime.errors import FormatError
from facemill.runtime.files import atomic_path

COLUMNS = (
    "capture",
    "person",
    "status",
    "reason",
    "views",
    "views_used",
    "unit_mm",
    "unit_source",
    "calibration_px",
)


def tabulate_captures(
    people: dict[str, str], prepared: Sequence[str | Path], reports: Sequence[str | Path]
) -> pd.DataFrame:
    """The rows of all captures, in the order of the configuration.

    Args:
        people: person by name of the capture. prepared: capture.json of each, in that order.
        reports: report.json of the captures that were calibrated.
    """
    calibration = {Path(path).parent.parent.name: _json(path) for path in reports}
    rows = []
    for (name, person), path in zip(people.items(), prepared, strict=True):
        capture = read_capture_file(path)
        rows.append(
            {
                "capture": name,
                "person": person,
                "status": capture.status,
                "reason": capture.reason,
                "views": len(capture.views),
                "views_used": len(capture.used) if capture.status == OK else 0,
                "unit_mm": capture.unit_mm,
                "unit_source": capture.unit_source,
                "calibration_px": calibration.get(name, {}).get("reprojection_px"),
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def write_captures_table(path: str | Path, table: pd.DataFrame) -> None:
    """Write the table as UTF-8 CSV, atomically; texts are quoted."""
    with atomic_path(path) as partial:
        table.to_csv(
            partial, index=False, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n", encoding="utf-8"
        )


def _json(path: str | Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise FormatError(f"{path} cannot be read", "JSON", str(error), "make it again") from error
    return content
