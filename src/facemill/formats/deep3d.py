"""Deep3DFaceRecon's coefficient files (Deng et al. 2019): decimetres there, millimetres here.

Two programs wrote two kinds of .mat file. The PyTorch one: `id exp tex angle gamma trans lm68`, landmarks
with y down. The TensorFlow one: `coeff` (1, 257), `lm_68p` with y up. Rotation, lighting and the units of
the coefficients are ours.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import savemat

from facemill.formats.matlab import array_names, read_small_matlab
from facemill.runtime.errors import FormatError
from facemill.runtime.files import write_bytes

MILLIMETRES_PER_DECIMETRE = 100.0
CROP_SIZE = 224
VECTOR_WIDTHS = {
    "identity": 80,
    "expression": 64,
    "albedo": 80,
    "rotation": 3,
    "lighting": 27,
    "translation": 3,
}
_KEYS = {
    "identity": "id",
    "expression": "exp",
    "albedo": "tex",
    "rotation": "angle",
    "lighting": "gamma",
    "translation": "trans",
}
_HEADER = b"MATLAB 5.0 MAT-file, written by Facemill in the layout of Deep3DFaceRecon"


@dataclass(frozen=True)
class Deep3DCoefficients:
    """The coefficients of one face, in our units.

    Attributes:
        identity, expression, albedo: (K,), (E,), (A,) standard deviations; 80, 64, 80 with the cropped BFM.
        rotation: (3,) pitch, yaw, roll in radians, R = Rz Ry Rx.
        lighting: (27,) nine harmonics of red, of green, of blue.
        translation: (3,) millimetres, head frame.
        landmarks68: (68, 2) pixels of the 224 crop, y down, or None where the file has none.
    """

    identity: NDArray[np.float64]
    expression: NDArray[np.float64]
    albedo: NDArray[np.float64]
    rotation: NDArray[np.float64]
    lighting: NDArray[np.float64]
    translation: NDArray[np.float64]
    landmarks68: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        for name in _KEYS:
            value = getattr(self, name)
            width = VECTOR_WIDTHS[name] if name in ("rotation", "lighting", "translation") else None
            if value.ndim != 1 or (width is not None and len(value) != width):
                raise ValueError(f"{name}: expected shape ({width or 'n'},), found {value.shape}")
        if self.landmarks68 is not None and self.landmarks68.shape != (68, 2):
            raise ValueError(f"landmarks68: expected shape (68, 2), found {self.landmarks68.shape}")


def write_deep3d(path: str | Path, coefficients: Deep3DCoefficients) -> None:
    """Write the PyTorch program's .mat: `id exp tex angle gamma trans lm68`, float32, each with a leading 1.

    `trans` in decimetres. `lm68` (1, 68, 2) in crop pixels, y down. Equal input gives equal bytes: the date
    that MATLAB files carry is left out.
    """
    arrays = {key: getattr(coefficients, name)[None].astype(np.float32) for name, key in _KEYS.items()}
    arrays["trans"] = (coefficients.translation[None] / MILLIMETRES_PER_DECIMETRE).astype(np.float32)
    if coefficients.landmarks68 is not None:
        arrays["lm68"] = coefficients.landmarks68[None].astype(np.float32)
    stream = io.BytesIO()
    savemat(stream, arrays)
    content = bytearray(stream.getvalue())
    content[:116] = _HEADER.ljust(116)
    write_bytes(path, bytes(content))


def read_deep3d(path: str | Path) -> Deep3DCoefficients:
    """Read a .mat file of either program.

    Raises:
        FormatError: the file is missing, is no .mat of version 4 to 7, lacks a key, or holds other than
            finite numbers.
    """
    what = "coefficients written by Deep3DFaceRecon"
    content = read_small_matlab(path, (*_KEYS.values(), "lm68", "coeff", "lm_68p"), what, "check the file")
    try:
        if "coeff" in content:
            landmarks = content.get("lm_68p")
            return coefficients_from_vector(
                content["coeff"],
                None if landmarks is None else flip_rows(landmarks.reshape(68, 2), CROP_SIZE),
            )
        missing = [key for key in _KEYS.values() if key not in content]
        if missing:
            raise FormatError(
                f"{path} lacks {', '.join(missing)}",
                "id exp tex angle gamma trans (PyTorch) or coeff (TensorFlow)",
                ", ".join(sorted(array_names(Path(path), what, "check the file"))) or "nothing",
                "give the .mat file of one face that Deep3DFaceRecon or Facemill wrote",
            )
        values = {name: np.asarray(content[key], dtype=np.float64).reshape(-1) for name, key in _KEYS.items()}
        values["translation"] = values["translation"] * MILLIMETRES_PER_DECIMETRE
        landmarks = content.get("lm68")
        return Deep3DCoefficients(
            **values,
            landmarks68=None if landmarks is None else np.asarray(landmarks, np.float64).reshape(68, 2),
        )
    except ValueError as error:
        raise FormatError(
            f"{path}: an array is of another shape",
            "the coefficients of one face",
            str(error),
            "check the file",
        ) from error


def vector_of_coefficients(coefficients: Deep3DCoefficients) -> NDArray[np.float64]:
    """Deep3D's vector (257,): id, exp, tex, angle, gamma, trans (dm) from 0, 80, 144, 224, 227, 254 on.

    Raises:
        ValueError: the counts are not those of the cropped Basel Face Model, so that no 257 numbers result.
    """
    for name, width in VECTOR_WIDTHS.items():
        if len(getattr(coefficients, name)) != width:
            raise ValueError(
                f"{name}: the 257-vector holds {width} numbers of it, found "
                f"{len(getattr(coefficients, name))}; it exists for the model bfm09 only: use the .mat file"
            )
    parts = [getattr(coefficients, name) for name in VECTOR_WIDTHS]
    return np.concatenate([*parts[:-1], parts[-1] / MILLIMETRES_PER_DECIMETRE])


def coefficients_from_vector(vector: NDArray, landmarks68: NDArray | None = None) -> Deep3DCoefficients:
    """Inverse of `vector_of_coefficients`; a vector (1, 257), as in the files, is fine too.

    Raises:
        ValueError: there are not 257 numbers.
    """
    vector = np.asarray(vector, dtype=np.float64).reshape(-1)
    if vector.shape != (257,):
        raise ValueError(f"vector: expected 257 numbers, found {vector.size}")
    ends = np.cumsum(list(VECTOR_WIDTHS.values()))[:-1]
    parts = dict(zip(VECTOR_WIDTHS, np.split(vector, ends), strict=True))
    parts["translation"] = parts["translation"] * MILLIMETRES_PER_DECIMETRE
    return Deep3DCoefficients(**parts, landmarks68=landmarks68)


def flip_rows(points: NDArray, height: int) -> NDArray[np.float64]:
    """Points (..., 2) of a picture, y up from its lowest row, to y down, and back: y' = H - 1 - y.

    >>> flip_rows(np.array([[3.0, 0.0]]), height=224)
    array([[  3., 223.]])
    """
    flipped = np.array(points, dtype=np.float64)
    flipped[..., 1] = height - 1 - flipped[..., 1]
    return flipped
