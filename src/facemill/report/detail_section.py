"""The detail layer in the report: each face without and with it, and its wrinkles under other expressions."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from facemill.report.face_section import choose_faces
from facemill.report.pictures import EmbeddedPicture, embed, read_picture
from facemill.report.sections import Page, Section
from facemill.runtime.errors import FormatError

logger = logging.getLogger(__name__)

PICTURES = (
    ("geometry.png", "Surface without and with detail", "the grey surface without and with detail"),
    ("expressions.png", "The same detail under other expressions", "the detail under other expressions"),
)


def detail_section(page: Page) -> Section | None:
    """The faces with detail, at most `max_faces`, spread over the sets; None for a run without any."""
    sets = page.inputs.detail
    chosen = choose_faces({one.name: len(one.faces) for one in sets}, page.settings.max_faces)
    groups = []
    for one in sets:
        rows = one.faces.head(chosen[one.name]).to_dict("records")
        cards = [card for row in rows if (card := detail_card(page, row)) is not None]
        groups.append(
            {
                "set": one.name,
                "cards": cards,
                "hidden": len(one.faces) - len(cards),
                "without": [f"{row['photo']}: {row['reason']}" for row in one.without.to_dict("records")],
            }
        )
    if not groups:
        return None
    html = page.fill("detail.html", groups=groups, many=len(groups) > 1)
    return Section("detail", "Detail", 21, html)


def detail_card(page: Page, row: Mapping[Any, Any]) -> dict[str, Any] | None:
    """What the template needs of one face; None, with a line in the log, when its folder cannot be read."""
    folder, name = Path(str(row["folder"])), str(row["photo"])
    try:
        pictures = [
            _embedded(page, folder / file, name, caption, words)
            for file, caption, words in PICTURES
            if file == "geometry.png" or (folder / file).is_file()
        ]
    except FormatError as error:
        logger.warning("left out of the report: %s", error)
        return None
    return {"name": name, "figures": figures(row), "pictures": pictures}


def figures(row: Mapping[Any, Any]) -> list[tuple[str, str]]:
    """How much detail there is, and on how much of the face the photo shows any.

    >>> figures({"detail_rms": 0.0813, "detail_share": 0.614})
    [('depth of the detail, rms', '0.081 mm'), ('face with evidence', '61 %')]
    """
    found = []
    if np.isfinite(row["detail_rms"]):
        found.append(("depth of the detail, rms", f"{row['detail_rms']:.3f} mm"))
    if np.isfinite(row["detail_share"]):
        found.append(("face with evidence", f"{100 * row['detail_share']:.0f} %"))
    return found


def _embedded(page: Page, path: Path, name: str, caption: str, words: str) -> EmbeddedPicture:
    settings = page.settings
    picture = read_picture(path)
    return embed(picture, f"{name}: {words}", caption, None, settings.strip_width, settings.picture_quality)
