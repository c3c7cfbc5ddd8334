"""The surfaces of the report: texture, shaded stages, distances to the scan, a table of both, a 3-D view."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facemill.formats.meshes import read_glb
from facemill.geometry.decimation import coarsened, decimate
from facemill.geometry.mesh import Mesh
from facemill.report.pictures import EmbeddedPicture, embed, read_picture
from facemill.report.sections import Page, Section, duration
from facemill.report.surface_inputs import STATUS, SurfaceResults
from facemill.runtime.errors import FormatError
from facemill.runtime.tables import OK

logger = logging.getLogger(__name__)

TEXTURE, STAGES, HEAT_MAPS = "texture.png", "surface_stages.png", "evaluate_surface/heat_maps.png"
#: File, caption, what it shows in words, width in strips. Those that are not there are left out.
PICTURES = (
    (
        STAGES,
        "The base mesh, the regularised and the displaced surface, lit alike",
        "shaded surface of the base mesh, regularised and displaced",
        1,
    ),
    (
        "displace_mesh/preview.png",
        "The base mesh, the mesh on the surface that was found, and with its texture",
        "the base mesh, the displaced mesh, and with its texture",
        1,
    ),
    (
        HEAT_MAPS,
        "Distance from the scan to the surface of each stage, one scale",
        "distance from the scan to each stage as colours",
        1.5,
    ),
)
#: The stages in their order, as `result.json` names them.
STAGE_NAMES = ("base", "classical", "implicit", "regularized", "mesoscopic")
#: Shares of scan points within so many mm that the table shows, of those that were measured.
WITHIN = ("0.1", "0.5")
TEXTURE_SIDE = 420
COLUMNS, HEADING = 3, 20  # of the stages' picture: columns, and pixels above the first row
#: Triangles of the surface in a 3-D view, at most: some 1.2 MB of the page.
VIEWER_TRIANGLES = 120_000


def surfaces_section(page: Page) -> Section | None:
    """The surfaces of the first `max_captures` captures that have one; why others have none."""
    surfaces = page.inputs.surfaces
    if not surfaces:
        return None
    made = [one for one in surfaces if one.row[STATUS] == OK]
    shown = made[: page.settings.max_captures]
    lost = [one for one in surfaces if one.row[STATUS] != OK][: page.settings.max_rows]
    html = page.fill(
        "surfaces.html",
        cards=[card for one in shown if (card := surface_card(page, one)) is not None],
        hidden=len(made) - len(shown),
        without=[f"{one.name}: {one.row[STATUS]}: {one.row.get('surface_reason', '')}" for one in lost],
        limits=WITHIN,
    )
    return Section("surfaces", "Surfaces of captures", 24, html)


def surface_card(page: Page, surface: SurfaceResults) -> dict[str, Any] | None:
    """What the template needs of one capture; None, with a line in the log, when a file cannot be read."""
    settings = page.settings
    try:
        pictures = [
            _embedded(page, surface.folder / file, surface.name, caption, words, wide)
            for file, caption, words, wide in PICTURES
            if (surface.folder / file).is_file()
        ]
        pixels = read_picture(surface.folder / TEXTURE)
        words = f"{surface.name}: texture blended from all views"
        texture = embed(pixels, words, "Texture from all views", TEXTURE_SIDE, None, settings.picture_quality)
        view, poster = None, texture
        if settings.viewers:
            mesh = viewer_mesh(surface.folder)
            found = page.viewers.add(mesh, pixels, settings.viewer_texture, settings.picture_quality)
            view = json.dumps(found, separators=(",", ":"))
            poster = _poster(page, surface.folder / STAGES, texture)
    except FormatError as error:
        logger.warning("left out of the report: %s", error)
        return None
    return {
        "name": surface.name,
        "figures": figures(surface),
        "texture": texture,
        "pictures": pictures,
        "view": view,
        "poster": poster,
        "stages": stage_rows(surface.evaluation),
        "costs": cost_rows(surface),
    }


def viewer_mesh(folder: Path) -> Mesh:
    """The surface for the page: mesh.glb; if that is too large, with the triangles of base_mesh.glb, from
    which it was refined, or else decimated.

    Raises:
        FormatError: a file is missing or damaged.
    """
    mesh = read_glb(folder / "mesh.glb")[0]
    if len(mesh.triangles) > VIEWER_TRIANGLES:
        mesh = coarsened(mesh, read_glb(folder / "base_mesh.glb")[0]) or mesh
    return decimate(mesh, VIEWER_TRIANGLES)


def figures(surface: SurfaceResults) -> list[tuple[str, str]]:
    """What was measured of the face, and how long all rules took."""
    found = []
    known = surface.row.get("surface_known", "")
    if known:
        found.append(("measured in the photos", f"{100 * float(known):.1f} % of the face"))
    result = surface.evaluation
    if result and result["status"] != OK:
        found.append(("not compared with a scan", f"{result['status']}: {result['reason']}"))
    seconds = [
        cost.seconds
        for rule, cost in surface.costs.items()
        if cost.seconds is not None and not rule.startswith("evaluate")
    ]
    if seconds:
        found.append(("photos to mesh", duration(sum(seconds))))
    return found


def stage_rows(evaluation: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """A row of text for each stage of `result.json`: the table against the scan; none without a scan.

    A stage that found nothing has its reason in `missing`.
    """
    if not evaluation or evaluation["status"] != OK:
        return []
    measured, missing = evaluation["stages"], evaluation["missing"]
    names = [*STAGE_NAMES, *sorted((set(measured) | set(missing)) - set(STAGE_NAMES))]
    rows = []
    for name in names:
        if name in missing:
            rows.append({"stage": name, "missing": missing[name]})
        elif name in measured:
            rows.append({"stage": name, "missing": "", "cells": _cells(measured[name])})
    return rows


def cost_rows(surface: SurfaceResults) -> list[dict[str, str]]:
    """A row of text for each rule."""
    return [
        {
            "rule": rule,
            "time": "" if cost.seconds is None else duration(cost.seconds),
            "processor": "" if cost.processor_seconds is None else duration(cost.processor_seconds),
            "memory": "" if cost.memory is None else f"{cost.memory:,.0f} MiB",
        }
        for rule, cost in surface.costs.items()
    ]


def _cells(stage: Mapping[str, Any]) -> list[str]:
    """Found, scan to surface (median, p90, shares), surface to scan (median, p90), normals (mean, median)."""
    there, back, normals = stage["completeness"], stage["accuracy"], stage["normal_error"]
    cells = [f"{100 * stage['coverage']:.1f} %", _millimetres(there)]
    cells += ["" if there is None else f"{100 * there['within'].get(limit, 0):.1f} %" for limit in WITHIN]
    cells.append(_millimetres(back))
    cells.append("" if normals is None else f"{normals['mean']:.2f} / {normals['median']:.2f}\N{DEGREE SIGN}")
    return cells


def _millimetres(found: Mapping[str, float] | None) -> str:
    """
    >>> _millimetres({"median": 0.0512, "p90": 0.206}), _millimetres(None)
    ('0.051 / 0.206 mm', '')
    """
    return "" if found is None else f"{found['median']:.3f} / {found['p90']:.3f} mm"


def _embedded(page: Page, path: Path, name: str, caption: str, words: str, wide: float) -> EmbeddedPicture:
    settings = page.settings
    width = round(wide * settings.strip_width)
    return embed(read_picture(path), f"{name}: {words}", caption, None, width, settings.picture_quality)


def _poster(page: Page, path: Path, otherwise: EmbeddedPicture) -> EmbeddedPicture:
    """The face of the last column of the stages' picture."""
    if not path.is_file():
        return otherwise
    picture = read_picture(path)
    side = picture.shape[1] // COLUMNS
    return embed(picture[HEADING : HEADING + side, -side:], "", "", None, 640, page.settings.picture_quality)
