"""What a camera writes into its photos about itself: orientation, size, focal length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags

from facemill.formats.stored_pictures import opened_picture

MOST_LETTERS = 200  # of the name of a camera
FULL_FRAME_DIAGONAL = float(np.hypot(36.0, 24.0))
_TRANSPOSED = (5, 6, 7, 8)
_QUARTER_TURNS = {1: 0, 3: 2, 6: 3, 8: 1}  # counter-clockwise, from the stored picture to the upright one


@dataclass(frozen=True)
class Exif:
    """size: (height, width) as stored. orientation: EXIF's, 1 to 8. camera: make and model, or empty.

    focal_35mm: focal length in millimetres on full frame (36 x 24), or None.
    """

    size: tuple[int, int]
    orientation: int = 1
    camera: str = ""
    focal_35mm: float | None = None

    @property
    def upright_size(self) -> tuple[int, int]:
        """(height, width) as people see the photo."""
        height, width = self.size
        return (width, height) if self.orientation in _TRANSPOSED else (height, width)

    @property
    def quarter_turns(self) -> int:
        """Counter-clockwise quarter turns that make the stored picture upright; 0 for mirrored ones."""
        return _QUARTER_TURNS.get(self.orientation, 0)

    def focal_pixels(self, size: tuple[int, int]) -> float | None:
        """Focal length in pixels of the photo at `size` (height, width), either way up; None: not known.

        EXIF's equivalent focal length compares diagonals (CIPA DCG-001).
        """
        if self.focal_35mm is None:
            return None
        return self.focal_35mm * float(np.hypot(*size)) / FULL_FRAME_DIAGONAL


def read_exif(path: str | Path) -> Exif:
    """The header of a photo; what it does not say, or says wrongly, is left out.

    Raises:
        FormatError: the file is missing, no plain file, or no photo.
    """
    with opened_picture(path, "a photo", "restore it, or remove it", formats=None) as image:
        width, height = image.size
        try:
            tags: Mapping[int, Any] = image.getexif()
            details = image.getexif().get_ifd(ExifTags.IFD.Exif)
        except Exception:  # Pillow raises almost anything on damaged tags; the picture may be sound
            tags, details = {}, {}
    orientation = tags.get(ExifTags.Base.Orientation, 1)
    if not isinstance(orientation, int) or not 1 <= orientation <= 8:
        orientation = 1
    names = [
        str(tags.get(tag, ""))[:MOST_LETTERS].strip("\0 ")
        for tag in (ExifTags.Base.Make, ExifTags.Base.Model)
    ]
    focal = _positive(details.get(ExifTags.Base.FocalLengthIn35mmFilm))
    return Exif((height, width), orientation, " ".join(name for name in names if name), focal)


def stored_picture(upright: NDArray, orientation: int) -> NDArray:
    """The picture as the file stores it, from the upright one: the way back of EXIF's orientation."""
    if orientation in (2, 4, 5, 7):
        upright = {
            2: lambda picture: picture[:, ::-1],
            4: lambda picture: picture[::-1],
            5: lambda picture: np.swapaxes(picture, 0, 1),
            7: lambda picture: np.swapaxes(picture[::-1, ::-1], 0, 1),
        }[orientation](upright)
        return np.ascontiguousarray(upright)
    return np.ascontiguousarray(np.rot90(upright, -_QUARTER_TURNS.get(orientation, 0)))


def _positive(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ArithmeticError):
        return None
    return number if 0 < number < 10_000 else None
