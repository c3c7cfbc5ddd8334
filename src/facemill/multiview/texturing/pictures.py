"""The texture and the mask that `blend_texture` has written, as later stages read them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facemill.formats.stored_pictures import opened_picture
from facemill.runtime.errors import FormatError

REMEDY = "make it again with the rule blend_texture"


def read_texture(path: str | Path) -> NDArray[np.uint8]:
    """(T, T, 3) colours over the whole atlas.

    Raises:
        FormatError: missing, damaged or not square.
    """
    return _read_square(path, "a texture", "RGB")


def read_seen(path: str | Path) -> NDArray[np.bool_]:
    """(T, T) texels that a photo shows.

    Raises:
        FormatError: missing, damaged or not square.
    """
    return _read_square(path, "a mask of a texture", "L") > 127


def _read_square(path: str | Path, expected: str, mode: str) -> NDArray[np.uint8]:
    with opened_picture(path, expected, REMEDY) as image:
        pixels = np.array(image.convert(mode))
    height, width = pixels.shape[:2]
    if height != width:
        raise FormatError(
            f"{path} is no picture of an atlas", "as wide as high", f"{width} x {height}", REMEDY
        )
    return pixels
