"""The people of the report: each with the photos it was made of, its picture and a 3-D view."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facemill.formats.meshes import read_glb
from facemill.report.face_section import TURNED_ASPECT, choose_faces
from facemill.report.people_inputs import PeopleSetResults
from facemill.report.pictures import embed, read_picture
from facemill.report.sections import Page, Section
from facemill.runtime.errors import FormatError
from facemill.runtime.tables import OK

logger = logging.getLogger(__name__)


def people_section(page: Page) -> Section | None:
    """The people, at most `max_people`, spread over the sets; None for a run without sets of people."""
    groups = []
    chosen = choose_faces({one.name: len(one.people) for one in page.inputs.people}, page.settings.max_people)
    for one in page.inputs.people:
        rows = one.people.head(chosen[one.name]).to_dict("records")
        cards = [person_card(page, one, row) for row in rows]
        groups.append({"set": one.name, "cards": cards, "hidden": len(one.people) - len(cards)})
    if not groups:
        return None
    html = page.fill("people.html", groups=groups, many=len(groups) > 1)
    return Section("people", "People", 22, html)


def person_card(page: Page, people: PeopleSetResults, row: Mapping[Any, Any]) -> dict[str, Any]:
    """What the template needs of one person."""
    name = str(row["person"])
    photos = people.photos[people.photos["person"] == name]
    card: dict[str, Any] = {
        "name": name,
        "figures": figures(row),
        "photos": listing(photos),
        "failed": None if row["status"] == OK else f"{row['status']}: {row['reason']}",
        "picture": None,
        "view": None,
        "poster": None,
    }
    if not row["folder"]:
        return card
    settings, folder = page.settings, Path(str(row["folder"]))
    try:
        picture = read_picture(folder / "person.png")
        words = f"{name}: photos, the reconstruction laid on them, the neutral face from three sides"
        card["picture"] = embed(picture, words, "", None, settings.strip_width, settings.picture_quality)
        if settings.viewers:
            mesh, texture = read_glb(folder / "mesh.glb")
            view = page.viewers.add(mesh, texture, settings.viewer_texture, settings.picture_quality)
            card["view"] = json.dumps(view, separators=(",", ":"))
            card["poster"] = embed(last_view(picture), "", "", None, 640, settings.picture_quality)
    except FormatError as error:
        logger.warning("%s is shown without pictures: %s", name, error)
    return card


def last_view(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The last of the turned views at the right end of person.png."""
    height, width = picture.shape[:2]
    return picture[:, max(0, width - round(TURNED_ASPECT * height)) :]


def figures(row: Mapping[Any, Any]) -> list[tuple[str, str]]:
    """Photos used, how far apart the single photos' faces were, and errors alone and together.

    >>> figures({"photos": 5, "used": 4, "spread": 0.8123, "landmark_error": 0.0312})
    [('photos used', '4 of 5'), ('spread of single photos', '0.81 mm'), ('landmark error', '3.1 %')]
    """
    found = [("photos used", f"{int(row['used'])} of {int(row['photos'])}")]
    if _known(row.get("spread")):
        found.append(("spread of single photos", f"{row['spread']:.2f} mm"))
    if _known(row.get("landmark_error")):
        words = f"{100 * row['landmark_error']:.1f} %"
        if _known(row.get("landmark_error_single")):
            words += f" (alone {100 * row['landmark_error_single']:.1f} %)"
        found.append(("landmark error", words))
    return found


def listing(photos: pd.DataFrame) -> list[dict[str, str]]:
    """The photos of a person: which way each looks, and whether the person is made of it or why not."""
    rows = []
    for row in photos.to_dict("records"):
        why = f"no: {row['left_out']}, {row['left_out_reason']}"
        yaw = f"{row['yaw']:.0f}°" if _known(row.get("yaw")) else ""
        rows.append({"photo": str(row["photo"]), "yaw": yaw, "state": "yes" if row["used"] else why})
    return rows


def _known(value: Any) -> bool:
    return value is not None and bool(pd.notna(value)) and math.isfinite(value)
