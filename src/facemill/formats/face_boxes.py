"""Boxes of faces as the NoW benchmark ships them: `detected_face/<subject>/<challenge>/<image>.npy`.

Each file is an array without dimensions of one Python 2 object, the dictionary {left, right, top, bottom} in
pixels of the picture: a pickle inside a `.npy`. Unpickling can run any code, so nothing but a dictionary of
texts and numbers is let through. Data sets that Facemill makes hold four plain numbers instead
(`facemill.formats.now_writer`).
"""

from __future__ import annotations

import codecs
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from facemill.runtime.errors import FormatError

SIDES = ("left", "top", "right", "bottom")
MAX_BYTES = 10_000  # the benchmark's have a few hundred
# What numbers and an array of objects are made with; none of it runs what the file holds. numpy 1 and 2 say
# differently where it lives, so the functions come from what numpy itself would write.
_MAKERS: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): np.dtype,
    ("numpy", "ndarray"): np.ndarray,
    ("_codecs", "encode"): codecs.encode,
}
for _room in ("numpy.core.multiarray", "numpy._core.multiarray"):
    _MAKERS[_room, "_reconstruct"] = np.zeros(1).__reduce__()[0]
    _MAKERS[_room, "scalar"] = np.float64(0).__reduce__()[0]
_EXPECTED = "a dictionary with the numbers left, top, right and bottom, or an array of these four"
_REMEDY = "restore the file, or remove it: the face is then detected"


def read_face_box(path: str | Path) -> np.ndarray:
    """The box of a face: (4,) float64, left, top, right, bottom, in pixels of the picture.

    Raises:
        FormatError: missing, not of this form, an object of another kind inside, or no box (right of left,
            below top, finite).
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FormatError(f"{path} cannot be read", _EXPECTED, str(error), _REMEDY) from error
    sides = _sides(path, content)
    try:
        box = np.array([float(sides[name]) for name in SIDES])
    except (KeyError, IndexError, TypeError, ValueError) as error:
        found = f"{type(sides).__name__} {str(sides)[:80]}"
        raise FormatError(f"{path} holds no box", _EXPECTED, found, _REMEDY) from error
    if not np.isfinite(box).all() or box[2] <= box[0] or box[3] <= box[1]:
        raise FormatError(f"{path} holds no box", _EXPECTED, str(box.tolist()), _REMEDY)
    return box


class _NumbersOnly(pickle.Unpickler):
    """Builds dictionaries, lists, texts and numbers, also numpy's; anything else is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _MAKERS:
            raise pickle.UnpicklingError(f"it holds an object of {module}.{name}")
        return _MAKERS[module, name]


def _sides(path: Path, content: bytes) -> Any:
    """What the file holds, from an array of one object or from a plain array."""
    try:
        if len(content) > MAX_BYTES:
            raise ValueError(f"{len(content)} bytes")
        stream = io.BytesIO(content)
        if np.lib.format.read_magic(stream) != (1, 0):
            raise ValueError("another version of .npy")
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        if shape == (len(SIDES),) and dtype.kind in "fiu":
            numbers = np.load(io.BytesIO(content), allow_pickle=False)
            return dict(zip(SIDES, numbers.tolist(), strict=True))
        if dtype != np.dtype(object) or shape != ():
            raise ValueError(f"an array of {dtype}, shape {shape}")
        held = _NumbersOnly(stream, encoding="latin1").load()
        return held.item() if isinstance(held, np.ndarray) and held.size == 1 else held
    except (
        ValueError,
        KeyError,
        TypeError,
        IndexError,
        EOFError,
        AttributeError,
        MemoryError,
        pickle.UnpicklingError,
    ) as error:
        raise FormatError(f"{path} cannot be read as a box", _EXPECTED, str(error), _REMEDY) from error
