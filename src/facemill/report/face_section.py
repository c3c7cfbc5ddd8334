"""The faces of the report: photo, landmarks, overlay, geometry, turned views and a 3-D view of each."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facemill.formats.landmarks import read_points_text
from facemill.formats.meshes import read_glb
from facemill.geometry.image import transform_points
from facemill.report.pictures import (
    DETECTED,
    RECONSTRUCTED,
    EmbeddedPicture,
    embed,
    mark_points,
    read_picture,
)
from facemill.report.sections import Page, Section, figure_text
from facemill.runtime.errors import FormatError
from facemill.runtime.inputs import decoding, read_json_object

logger = logging.getLogger(__name__)

#: Width of a view of turned.png, as a share of its height.
TURNED_ASPECT = 0.86
_FIGURES = {"landmark_error": "landmark error", "photometric_error": "colour error"}


def faces_section(page: Page) -> Section | None:
    """The faces, at most `max_faces` of them, spread over the sets."""
    chosen = choose_faces({one.name: len(one.faces) for one in page.inputs.sets}, page.settings.max_faces)
    groups = []
    for one in page.inputs.sets:
        rows = one.faces.head(chosen[one.name]).to_dict("records")
        cards = [card for row in rows if (card := face_card(page, one.name, row)) is not None]
        if len(one.faces):
            groups.append({"set": one.name, "cards": cards, "hidden": len(one.faces) - len(cards)})
    if not groups:
        return None
    html = page.fill("faces.html", groups=groups, many=len(groups) > 1)
    return Section("faces", "Faces", 20, html)


def choose_faces(counts: Mapping[str, int], most: int) -> dict[str, int]:
    """How many faces of each set to show: as even as the sets allow, `most` in all.

    >>> choose_faces({"a": 100, "b": 3, "c": 100}, 11)
    {'a': 4, 'b': 3, 'c': 4}
    """
    chosen = dict.fromkeys(counts, 0)
    left = most
    while left > 0 and any(chosen[name] < counts[name] for name in counts):
        for name in counts:
            if left > 0 and chosen[name] < counts[name]:
                chosen[name] += 1
                left -= 1
    return chosen


def face_card(page: Page, set_name: str, row: Mapping[Any, Any]) -> dict[str, Any] | None:
    """What the template needs of one face; None, with a line in the log, when its folder cannot be read."""
    folder, name, settings = Path(row["folder"]), str(row["photo"]), page.settings
    try:
        pictures = face_pictures(folder, row, settings.picture_side, settings.picture_quality)
        turned = read_picture(folder / "turned.png")
        strip = embed(
            turned,
            f"{name}: turned views under neutral light",
            "",
            None,
            settings.strip_width,
            settings.picture_quality,
        )
        view = None
        if settings.viewers:
            mesh, texture = read_glb(folder / "mesh.glb")
            view = page.viewers.add(mesh, texture, settings.viewer_texture, settings.picture_quality)
    except FormatError as error:
        logger.warning("left out of the report: %s", error)
        return None
    figures = [
        (label, figure_text(column, float(row[column])))
        for column, label in _FIGURES.items()
        if row.get(column) is not None and np.isfinite(row[column])
    ]
    return {
        "name": name,
        "set": set_name,
        "figures": figures,
        "pictures": pictures,
        "strip": strip,
        "view": None if view is None else json.dumps(view, separators=(",", ":")),
        "poster": None
        if view is None
        else embed(poster_of(turned), "", "", None, 640, settings.picture_quality),
    }


def poster_of(turned: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The view of turned.png that is nearest to how the 3-D view starts: a little to the image right."""
    height, width = turned.shape[:2]
    count = max(1, round(width / (TURNED_ASPECT * height)))
    chosen = min(count - 1, (7 * count) // 10)
    return turned[:, chosen * width // count : (chosen + 1) * width // count]


def face_pictures(folder: Path, row: Mapping[Any, Any], side: int, quality: int) -> list[EmbeddedPicture]:
    """Photo, landmarks, overlay and geometry, in that order, all framed alike."""
    name = str(row["photo"])
    photo = read_picture(folder / "closeup.png")
    marked = mark_points(photo, landmark_groups(folder, row), side)
    described = [
        (photo, "Photo", "the photo around the face"),
        (marked, "Landmarks", "68 landmarks, detected in blue and reconstructed in orange"),
        (read_picture(folder / "closeup_overlay.png"), "Overlay", "the reconstruction laid on the photo"),
        (read_picture(folder / "geometry.png"), "Geometry", "the reconstructed surface in grey"),
    ]
    return [
        embed(pixels, f"{name}: {words}", caption, side, None, quality)
        for pixels, caption, words in described
    ]


def landmark_groups(folder: Path, row: Mapping[Any, Any]) -> list[tuple[NDArray, tuple[int, int, int]]]:
    """Reconstructed and, where the table has them, detected landmarks, in pixels of closeup.png.

    Raises:
        FormatError: camera.json or the landmarks of the folder cannot be read.
    """
    remedy = "run export_coarse again"
    camera = read_json_object(folder / "camera.json", "a camera", remedy, ("closeup_from_crop",))
    with decoding(folder, "the folder of an exported face", remedy):
        closeup_from_crop = np.array(camera["closeup_from_crop"], dtype=np.float64).reshape(3, 3)
        reconstructed = read_points_text(folder / "landmarks68_crop.txt").reshape(68, 2)
    groups = [(np.asarray(transform_points(closeup_from_crop, reconstructed)), RECONSTRUCTED)]
    if row.get("landmarks68") is not None and np.size(row["landmarks68"]) == 136:
        detected = np.asarray(row["landmarks68"], dtype=np.float64).reshape(68, 2)
        groups.append((np.asarray(transform_points(closeup_from_crop, detected)), DETECTED))
    return groups
