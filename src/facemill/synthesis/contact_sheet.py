"""An overview of a set of photographs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facemill.formats.stored_pictures import PNG_OR_JPEG, opened_picture
from facemill.geometry.image import resizing, transform_points
from facemill.runtime.files import write_bytes
from facemill.synthesis.settings import ContactSheetSettings

_SEEN, _HIDDEN = (90, 255, 90), (255, 60, 60)


def draw_contact_sheet(
    tables: Sequence[pd.DataFrame], folders: Sequence[str | Path], settings: ContactSheetSettings
) -> NDArray[np.uint8]:
    """Small pictures side by side, row by row: (H, W, 3) RGB.

    Args:
        tables: of `synthesize_photos`; folders: of their pictures, in the same order.
    Raises:
        FormatError: a picture is missing or damaged.
    """
    rows = [
        (Path(folder), row)
        for folder, table in zip(folders, tables, strict=True)
        for row in table.to_dict("records")
    ]
    count = min(settings.photos, len(rows))
    chosen = [rows[place] for place in np.linspace(0, len(rows) - 1, count).round().astype(int)]
    side, columns = settings.side, min(settings.columns, max(count, 1))
    lines = -(-count // columns)
    sheet = np.zeros((lines * side, columns * side, 3), np.uint8)
    for place, (folder, row) in enumerate(chosen):
        picture = _read(folder / str(row["file"]))
        height, width = picture.shape[:2]
        scale = side / max(height, width)
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        small = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)
        if settings.landmarks:
            _mark(small, row, resizing((height, width), size))
        top, left = divmod(place, columns)
        sheet[top * side : top * side + size[0], left * side : left * side + size[1]] = small
    return sheet


def write_sheet(path: str | Path, sheet: NDArray[np.uint8]) -> None:
    """Write a contact sheet (H, W, 3) RGB as PNG, atomically."""
    done, content = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    if not done:
        raise RuntimeError(f"OpenCV could not encode a sheet of shape {sheet.shape}")
    write_bytes(path, content.tobytes())


def _read(path: Path) -> NDArray[np.uint8]:
    expected = "a picture that synthesize_photos wrote"
    with opened_picture(path, expected, "make it again", PNG_OR_JPEG) as image:
        return np.array(image.convert("RGB"))


def _mark(picture: NDArray, row: dict, small_from_photo: NDArray) -> None:
    """Draw the true landmarks of a row into the small picture."""
    crop = np.reshape(np.asarray(row["landmarks68"], dtype=np.float64), (68, 2))
    photo_from_crop = np.reshape(np.asarray(row["photo_from_crop"], dtype=np.float64), (3, 3))
    points = transform_points(small_from_photo @ photo_from_crop, crop)
    for (x, y), seen in zip(np.rint(points).astype(int), row["visible68"], strict=True):
        if 0 <= y < picture.shape[0] and 0 <= x < picture.shape[1]:
            picture[y, x] = _SEEN if seen else _HIDDEN
