"""One picture of a person: photos, overlays, and the neutral face from three sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facemill.coarse.export_settings import ExportPersonSettings
from facemill.faces.pictures import turned_views
from facemill.faces.posed_face import PosedFace
from facemill.geometry.image import resize
from facemill.models.topology import Topology

GAP = 6
WHITE = 255


class ShownPhoto(NamedTuple):
    """A photo's square around the face, (S, S, 3), and the same with the reconstruction on it."""

    photo: NDArray[np.uint8]
    overlay: NDArray[np.uint8]


def neutral_views(
    neutral: PosedFace, texture: NDArray[np.uint8], topology: Topology, settings: ExportPersonSettings
) -> NDArray[np.uint8]:
    """The textured neutral face from `settings.yaws` in a row, on white, as high as two tiles: (H, W, 3)."""
    side = 2 * settings.tile_side
    views = turned_views(neutral, topology, texture, settings.yaws, side)
    alpha = views[..., 3:].astype(np.float32) / 255
    return (views[..., :3] * alpha + WHITE * (1 - alpha)).round().astype(np.uint8)


def contact_picture(
    photos: Sequence[ShownPhoto], neutral: NDArray[np.uint8], settings: ExportPersonSettings
) -> NDArray[np.uint8]:
    """Photos above, their overlays below them, and the neutral face beside both.

    Of more photos than `settings.shown_photos` every so many-th is shown, the first and the last among them.
    """
    count = min(len(photos), settings.shown_photos)
    rows = np.linspace(0, len(photos) - 1, count).round().astype(int)
    shown = [photos[row] for row in rows]
    columns = [
        np.concatenate([_tile(each.photo, settings.tile_side), _tile(each.overlay, settings.tile_side)])
        for each in shown
    ]
    parts = [_framed(part) for part in (*columns, neutral)]
    return np.concatenate(parts, axis=1)


def _tile(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    return np.asarray(resize(picture, (side, side)).image)


def _framed(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.pad(picture, ((GAP, GAP), (GAP // 2, GAP // 2), (0, 0)), constant_values=WHITE)
