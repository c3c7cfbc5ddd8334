"""FaceScape's displacement maps: what MVFR's mesoscopic stage was trained on, and its frame.

A map has 4096 x 4096 texels of 16 bits over the atlas of FaceScape's topology; millimetres are
(value - 32768) / 32768 x 0.914 along the normal. MVFR's generator sees the part at columns 1100..2999 and
rows 600..2499. FaceScape counts rows so that v = 1 lies one row above row 0 (row = N - k for texel k from
below), which is a shift of one row against ours.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from facemill.formats.stored_pictures import opened_picture
from facemill.runtime.errors import FormatError

SIZE = 4096
ZERO = 32768
LIMIT = 0.914  # mm
#: The part that MVFR's generator sees: first row, first column, side; FaceScape's rows.
PART = (600, 1100, 1900)
ROW_SHIFT = 1  # FaceScape's row less ours, at 4096
GENERATOR_SIDE = 1024


def read_displacement_map(path: str | Path) -> NDArray[np.float32]:
    """(4096, 4096) mm of a map as FaceScape publishes it (16-bit grey PNG).

    Raises:
        FormatError: missing, damaged, of another size or depth.
    """
    with opened_picture(path, "a displacement map of FaceScape", "download it again") as image:
        mode, values = image.mode, np.array(image)
    if values.shape != (SIZE, SIZE) or not (mode.startswith("I;16") or mode == "I"):
        raise FormatError(
            f"{path} is no displacement map of FaceScape",
            f"{SIZE} x {SIZE} pixels of 16-bit grey",
            f"{' x '.join(map(str, values.shape))}, mode {mode}",
            "give the files of the folder dpmap of FaceScape's TU models",
        )
    return decoded(values)


def decoded(values: NDArray) -> NDArray[np.float32]:
    """Stored numbers as millimetres.

    >>> decoded(np.array([0, 32768, 65535], dtype=np.uint16)).round(4).tolist()
    [-0.9139999747276306, 0.0, 0.9139999747276306]
    """
    return ((values.astype(np.float64) - ZERO) / ZERO * LIMIT).astype(np.float32)


def encoded(relief: NDArray) -> NDArray[np.uint16]:
    """Millimetres as MVFR's generator stores them: (x + 1) / 2 x 65535 with x = mm / 0.914.

    >>> encoded(np.array([-1.0, 0.0, 0.914])).tolist()
    [0, 32768, 65535]
    """
    share = np.clip(np.asarray(relief, dtype=np.float64) / LIMIT, -1, 1)
    return np.rint((share + 1) / 2 * 65535).astype(np.uint16)


def find_displacement_map(folder: str | Path, capture: str) -> Path | None:
    """The map of a capture `<entry>-<person>-<expression>` in FaceScape's folders; None without one.

    `<folder>/<person>/dpmap/<expression>_<name>.png`, numbers without leading zeros.
    """
    parts = capture.rsplit("-", 2)
    if len(parts) < 2 or not parts[-1].isdigit():
        return None
    person, expression = parts[-2], int(parts[-1])
    found = sorted(Path(folder, person, "dpmap").glob(f"{expression}_*.png"))
    return found[0] if found else None


def sampled_window(values: NDArray, size: int, window: tuple[int, int, int, int]) -> NDArray[np.float32]:
    """A map of FaceScape (4096, 4096) at the texels of a window of our maps of `size` texels: (H, W)."""
    top, left, height, width = window
    rows = (np.arange(top, top + height) + 0.5) * SIZE / size - 0.5 + ROW_SHIFT
    columns = (np.arange(left, left + width) + 0.5) * SIZE / size - 0.5
    places = np.meshgrid(rows, columns, indexing="ij")
    return map_coordinates(values.astype(np.float32), places, order=1, mode="nearest")


def generator_input(texture: NDArray) -> NDArray[np.float32]:
    """(1024, 1024, 3) 0..1: the part of a texture (T, T, 3) uint8 that MVFR's generator sees."""
    rows, columns = _generator_places(len(texture))
    places = np.meshgrid(rows, columns, indexing="ij")
    channels = [
        map_coordinates(texture[..., channel].astype(np.float32), places, order=1, mode="nearest")
        for channel in range(texture.shape[-1])
    ]
    return np.asarray(np.stack(channels, axis=-1) / 255, dtype=np.float32)


def generator_output(relief: NDArray, size: int, window: tuple[int, int, int, int]) -> NDArray[np.float32]:
    """What MVFR's generator says (1024, 1024) mm, at a window of our maps: (H, W); 0 beyond what it sees."""
    top, left, height, width = window
    first_row, first_column, side = PART
    scale = GENERATOR_SIDE / side
    rows = (np.arange(top, top + height) + 0.5) * SIZE / size + ROW_SHIFT - first_row
    columns = (np.arange(left, left + width) + 0.5) * SIZE / size - first_column
    places = np.meshgrid(rows * scale - 0.5, columns * scale - 0.5, indexing="ij")
    return map_coordinates(np.asarray(relief, dtype=np.float32), places, order=1, mode="constant", cval=0.0)


def _generator_places(size: int) -> tuple[NDArray, NDArray]:
    """Rows and columns, in our map of `size` texels, of the pixels that the generator sees."""
    first_row, first_column, side = PART
    inside = (np.arange(GENERATOR_SIDE) + 0.5) * side / GENERATOR_SIDE
    rows = (inside + first_row - ROW_SHIFT) * size / SIZE - 0.5
    columns = (inside + first_column) * size / SIZE - 0.5
    return rows, columns
