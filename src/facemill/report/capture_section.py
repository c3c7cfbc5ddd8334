"""The captures of the report: a table of all; each base mesh on its views, in 3-D and against its scan."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facemill.formats.meshes import read_glb
from facemill.report.capture_inputs import CaptureResults
from facemill.report.pictures import EmbeddedPicture, embed, read_picture
from facemill.report.sections import Page, Section
from facemill.runtime.errors import FormatError
from facemill.runtime.tables import OK

logger = logging.getLogger(__name__)

#: Overlays hold many views: wider than the page, they are panned.
OVERLAY_WIDTH = 2
PICTURES = (
    ("overlays.png", "All views, and the base mesh on them", "the base mesh on all views", OVERLAY_WIDTH),
    ("geometry.png", "The base mesh", "the bare surface of the base mesh from five sides", 1),
    ("uv_maps.png", "Its maps", "position, normal, visibility and displacement in the model's atlas", 1),
    (
        "evaluate_base_mesh/heat_map.png",
        "Distance to the scan, over the face",
        "the base mesh coloured by its distance to the scan",
        1,
    ),
)
GEOMETRY_VIEWS = 5
#: Columns of captures.csv that a card shows.
TOLD = (
    ("calibration_px", "calibration, rms", "px"),
    ("landmark_px", "landmarks off by", "px"),
    ("deviation_mm", "expected error", "mm"),
)


def captures_section(page: Page) -> Section | None:
    """All captures in a table, and the first `max_captures` that have a mesh; None for a run without any."""
    captures = page.inputs.captures
    if not captures:
        return None
    made = [one for one in captures if one.row["status"] == OK]
    shown = made[: page.settings.max_captures]
    rows = captures[: page.settings.max_rows]
    html = page.fill(
        "captures.html",
        rows=[table_row(one) for one in rows],
        measured=any(_measured(one) for one in captures),
        hidden_rows=len(captures) - len(rows),
        cards=[card for one in shown if (card := capture_card(page, one)) is not None],
        hidden=len(made) - len(shown),
    )
    return Section("captures", "Captures", 23, html)


def table_row(capture: CaptureResults) -> dict[str, str]:
    """What the table says of one capture."""
    row, result = capture.row, _measured(capture)
    unit = row.get("unit_mm", "")
    source = row.get("unit_source", "")
    return {
        "capture": capture.name,
        "person": row["person"],
        "views": f"{row['views_used']} of {row['views']}",
        "unit": f"{float(unit):.4g} mm ({source})" if unit else source,
        "accuracy": _median_and_p95(result["accuracy"]) if result else "",
        "completeness": _median_and_p95(result["completeness"]) if result else "",
        "state": "ok" if row["status"] == OK else f"{row['status']}: {row['reason']}",
    }


def capture_card(page: Page, capture: CaptureResults) -> dict[str, Any] | None:
    """What the template needs of one capture; None, with a line in the log, when a file cannot be read."""
    settings = page.settings
    try:
        pictures = [
            _embedded(page, capture.folder / file, capture.name, caption, words, wide)
            for file, caption, words, wide in PICTURES
            if not file.startswith("evaluate") or (capture.folder / file).is_file()
        ]
        view = poster = None
        if settings.viewers:
            mesh, texture = read_glb(capture.folder / "base_mesh.glb")
            found = page.viewers.add(mesh, texture, settings.viewer_texture, settings.picture_quality)
            view = json.dumps(found, separators=(",", ":"))
            poster = _poster(page, capture.folder / "geometry.png")
    except FormatError as error:
        logger.warning("left out of the report: %s", error)
        return None
    return {
        "name": capture.name,
        "figures": figures(capture),
        "beside": pictures[-1],  # beside the 3-D view: the heat map, or the maps
        "pictures": pictures[:-1],
        "view": view,
        "poster": poster,
    }


def figures(capture: CaptureResults) -> list[tuple[str, str]]:
    """Views, and how far mesh and scan are apart over the face, in place and after a rigid alignment."""
    row = capture.row
    found = [("views used", f"{row['views_used']} of {row['views']}")]
    found += [
        (label, f"{float(row[column]):.2f} {unit}") for column, label, unit in TOLD if row.get(column, "")
    ]
    result = _measured(capture)
    if result:
        found.append(("mesh to scan, median / 95 %", _median_and_p95(result["accuracy"])))
        found.append(("scan to mesh", _median_and_p95(result["completeness"])))
        found.append(("mesh to scan, aligned", _median_and_p95(result["aligned"]["accuracy"])))
    elif capture.evaluation:
        found.append(("not measured", f"{capture.evaluation['status']}: {capture.evaluation['reason']}"))
    return found


def _measured(capture: CaptureResults) -> Mapping[str, Any] | None:
    result = capture.evaluation
    return result if result and result["status"] == OK else None


def _median_and_p95(figures: Mapping[str, float]) -> str:
    """
    >>> _median_and_p95({"median": 0.514, "p95": 2.06})
    '0.51 / 2.06 mm'
    """
    return f"{figures['median']:.2f} / {figures['p95']:.2f} mm"


def _embedded(page: Page, path: Path, name: str, caption: str, words: str, wide: int) -> EmbeddedPicture:
    settings = page.settings
    width = wide * settings.strip_width
    return embed(read_picture(path), f"{name}: {words}", caption, None, width, settings.picture_quality)


def _poster(page: Page, path: Path) -> EmbeddedPicture:
    """The view of geometry.png that is nearest to how the 3-D view starts: a little to the image right."""
    picture = read_picture(path)
    width = picture.shape[1] // GEOMETRY_VIEWS
    return embed(picture[:, 3 * width : 4 * width], "", "", None, 640, page.settings.picture_quality)
