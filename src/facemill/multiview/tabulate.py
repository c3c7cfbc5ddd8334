"""One row per capture: what became of it, and how well everything fits."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from facemill.formats.captures import OK, UNKNOWN, Capture, read_capture_file
from facemill.formats.surface_maps import read_surface_map
from facemill.runtime.files import atomic_path
from facemill.runtime.inputs import read_json_object

COLUMNS = (
    "capture",
    "person",
    "status",
    "reason",
    "views",
    "views_used",
    "left_out",
    "unit_mm",
    "unit_deviation",
    "unit_source",
    "calibration_px",
    "landmark_px",
    "deviation_mm",
)
SURFACE_COLUMNS = ("surface_status", "surface_reason", "surface_known")
"""left_out: views that were not used, with their status. unit_deviation: relative, one standard deviation.
calibration_px: root mean square of calibrate_capture; landmark_px: median of fit_base_mesh; deviation_mm:
median over the mesh of the standard deviation that the fit expects of itself.
surface_status, surface_reason: of the fine surface; surface_known: share of the face that was measured."""


def tabulate_captures(
    people: Mapping[str, str],
    prepared: Sequence[str | Path],
    calibrated: Sequence[str | Path],
    fitted: Sequence[str | Path],
    surfaces: Mapping[str, str | Path] | None = None,
) -> pd.DataFrame:
    """The rows of all captures, in the order of the configuration.

    Args:
        people: person by name of the capture. prepared: capture.json of each, in that order.
        calibrated: report.json of the captures that were calibrated. fitted: fit_base_mesh/<person>.json.
        surfaces: regularized.npz by name of the capture; None of a run that makes no surfaces, whose table
            lacks their columns.
    Raises:
        FormatError: a file is missing or not whole.
    """
    calibrations = {told["capture"]: told for told in map(_json, calibrated)}
    fits: dict[str, Mapping[str, Any]] = {}
    for path in fitted:
        fits |= _json(path)["captures"]
    rows = [
        _row(name, person, read_capture_file(path), calibrations.get(name, {}), fits.get(name, {}))
        for (name, person), path in zip(people.items(), prepared, strict=True)
    ]
    if surfaces is None:
        return pd.DataFrame(rows, columns=list(COLUMNS))
    for row in rows:
        row |= _surface(surfaces.get(row["capture"]))
    return pd.DataFrame(rows, columns=[*COLUMNS, *SURFACE_COLUMNS])


def write_captures_table(path: str | Path, table: pd.DataFrame) -> None:
    """Write the table as UTF-8 CSV, atomically; texts are quoted."""
    with atomic_path(path) as partial:
        table.to_csv(
            partial, index=False, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n", encoding="utf-8"
        )


def _row(
    name: str, person: str, capture: Capture, calibration: Mapping[str, Any], fit: Mapping[str, Any]
) -> dict[str, Any]:
    """One row; the last rule that has something to say of the capture gives its status."""
    last = fit if capture.status == OK and fit else {"status": capture.status, "reason": capture.reason}
    lost = {view.name: view.status for view in capture.views if view.status != OK}
    for view in fit.get("views", ()):
        if view["status"] != OK:
            lost.setdefault(view["name"], view["status"])
    names = {view.name for view in capture.views}
    unit = fit.get("unit") or {
        "millimetres": capture.unit_mm,
        "deviation": None if capture.unit_mm is None else capture.unit_deviation,
        "source": capture.unit_source if capture.status == OK else UNKNOWN,
    }
    return {
        "capture": name,
        "person": person,
        "status": last["status"],
        "reason": last["reason"],
        "views": len(names),
        "views_used": len(names - set(lost)) if last["status"] == OK else 0,
        "left_out": "; ".join(f"{view}: {status}" for view, status in lost.items()),
        "unit_mm": unit["millimetres"],
        "unit_deviation": unit["deviation"],
        "unit_source": unit["source"],
        "calibration_px": calibration.get("reprojection_px"),
        "landmark_px": fit.get("landmark_residual_px"),
        "deviation_mm": fit.get("deviation_mm"),
    }


def _surface(path: str | Path | None) -> dict[str, Any]:
    """What became of the fine surface of a capture; the share is of the texels that have a displacement."""
    if path is None:
        return dict.fromkeys(SURFACE_COLUMNS)
    found = read_surface_map(path)
    if found.surface is None:
        return dict(zip(SURFACE_COLUMNS, (found.status, found.reason, None), strict=True))
    face = np.isfinite(found.surface.displacement)
    known = float((found.surface.known & face).sum() / max(int(face.sum()), 1))
    return dict(zip(SURFACE_COLUMNS, (found.status, found.reason, round(known, 4)), strict=True))


def _json(path: str | Path) -> dict[str, Any]:
    return read_json_object(path, "a JSON object", "make it again")
