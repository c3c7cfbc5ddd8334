"""Boxes of faces as the NoW benchmark ships them: `detected_face/<subject>/<challenge>/<image>.npy`.

Each file is an array without dimensions of one Python 2 object, the dictionary {left, right, top, bottom} in
pixels of the picture: a pickle inside a `.npy`. Unpickling can run any code, so nothing but a dictionary of
texts and numbers is let through. Data sets that Facemill makes hold four plain numbers instead
(`facemill.formats.now_writer`).
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from facemill.runtime.errors import FormatError
from facemill.runtime.inputs import decoding, read_content, shown

SIDES = ("left", "top", "right", "bottom")
NUMBERS = ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
MAX_BYTES = 10_000  # the benchmark's have a few hundred
_EXPECTED = "a dictionary with the numbers left, top, right and bottom, or an array of these four"
_REMEDY = "restore the file, or remove it: the face is then detected"


def read_face_box(path: str | Path) -> np.ndarray:
    """The box of a face: (4,) float64, left, top, right, bottom, in pixels of the picture.

    Raises:
        FormatError: missing, not of this form, an object of another kind inside, or no box (right of left,
            below top, finite).
    """
    path = Path(path)
    content = read_content(path, _EXPECTED, _REMEDY, largest=MAX_BYTES)
    with decoding(path, _EXPECTED, _REMEDY):
        sides = _sides(content)
    try:
        box = np.array([float(sides[name]) for name in SIDES])
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise FormatError(f"{path} holds no box", _EXPECTED, shown(sides), _REMEDY) from error
    if not np.isfinite(box).all() or box[2] <= box[0] or box[3] <= box[1]:
        raise FormatError(f"{path} holds no box", _EXPECTED, str(box.tolist()), _REMEDY)
    return box


class _Array:
    """What an array of one object leaves of itself: the object. Stands for numpy's array while unpickling."""

    held: Any = None

    def __setstate__(self, state: Any) -> None:
        _, shape, _, _, values = state
        if shape != () or not isinstance(values, list) or len(values) != 1:
            raise pickle.UnpicklingError("it holds an array of another kind")
        self.held = values[0]


class _Kind:
    """What is read of a dtype: the code that it is made with."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code = code

    def __setstate__(self, state: Any) -> None:
        if state[1] == ">":
            raise pickle.UnpicklingError("numbers of another byte order")


def _rebuilt(*_: Any) -> _Array:
    return _Array()


def _scalar(kind: Any, raw: Any) -> float:
    content = raw.encode("latin-1") if isinstance(raw, str) else raw
    if kind.code not in NUMBERS or len(content) != np.dtype(kind.code).itemsize:
        raise pickle.UnpicklingError(f"it holds a number of kind {shown(kind.code)}")
    return float(np.frombuffer(content, dtype=kind.code)[0])


def _bytes_of(text: Any, encoding: Any) -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("it holds encoded data")
    return text.encode("latin-1")


#: What numbers and an array of objects are pickled as, and what stands for it here: nothing of numpy's or
#: Python's own, whose makers could be led to allocate without end. numpy 1 and 2 name the room differently.
_MAKERS: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): _Kind,
    ("numpy", "ndarray"): _Array,
    ("_codecs", "encode"): _bytes_of,
}
for _room in ("numpy.core.multiarray", "numpy._core.multiarray"):
    _MAKERS[_room, "_reconstruct"] = _rebuilt
    _MAKERS[_room, "scalar"] = _scalar


class _NumbersOnly(pickle.Unpickler):
    """Builds dictionaries, lists, texts and numbers, also numpy's; anything else is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _MAKERS:
            raise pickle.UnpicklingError(f"it holds an object of {module}.{name}")
        return _MAKERS[module, name]


def _sides(content: bytes) -> Any:
    """What the file holds, from an array of one object or from a plain array."""
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
    return held.held if isinstance(held, _Array) else held
