"""MATLAB files that users bring: what is inside is known and checked before anything is loaded."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat, whosmat
from scipy.io.matlab import MatReadError

from facemill.runtime.errors import LicensedFileError

#: What a file is that holds these arrays; the first that fits counts.
KNOWN_CONTENTS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("shapePC", "shapeMU", "texPC"), "01_MorphableModel.mat, the Basel Face Model 2009"),
    (("meanshape", "idBase"), "BFM_model_front.mat, the crop which Deep3DFaceRecon derives from the model"),
    (("idx",), "BFM_front_idx.mat, which vertices the crop keeps"),
    (("trimIndex",), "BFM_exp_idx.mat, which vertices the expression basis has"),
    (("tri", "point_buf", "keypoints"), "facemodel_info.mat, triangles and landmarks of the crop"),
    (("lm",), "similarity_Lm3D_all.mat, 68 standard points"),
    (("select_id",), "select_vertex_id.mat"),
    (("bases_shape", "mu_shape"), "BFM2009_Model.mat of unsupervised-detail-layer"),
    (("mu_shape", "w"), "Model_Shape.mat of 3DDFA"),
    (("mu_exp", "w_exp"), "Model_Exp.mat of 3DDFA"),
    (("coeff",), "coefficients that Deep3DFaceReconstruction wrote"),
    (("id", "exp", "tex"), "coefficients that Deep3DFaceRecon wrote"),
)

#: What a file is that begins with these bytes.
_SIGNATURES = (
    (b"\x89HDF", "HDF5, as the Basel Face Models 2017 and 2019 (.h5) are; this is not the model of 2009"),
    (b"MATLAB 7.3", "a MATLAB 7.3 file; save it again in MATLAB with the option '-v7'"),
    (b"\x1f\x8b", "a gzip archive (a .tgz, say): unpack it first"),
    (b"PK\x03\x04", "a zip archive: unpack it first"),
    (b"version https://git-lfs", "a Git LFS pointer: the file itself was not downloaded"),
)


#: What scipy raises on files that are cut short or damaged.
_DAMAGE = (
    *(MatReadError, ValueError, TypeError, IndexError, KeyError, OverflowError, MemoryError),
    *(OSError, EOFError, NotImplementedError, struct.error, zlib.error),
)


@dataclass(frozen=True)
class Expected:
    """An array that a file must hold.

    Attributes:
        shape: None stands for any length; a vector may lie as a row or as a column.
        lowest, highest: bounds of its values where they are indices (then they must be whole numbers).
        distinct: whether no index may occur twice.
    """

    shape: tuple[int | None, ...]
    lowest: int | None = None
    highest: int | None = None
    distinct: bool = False


def read_matlab(path: Path, what: str, expected: Mapping[str, Expected], remedy: str) -> dict[str, NDArray]:
    """Read the arrays `expected` of a .mat file; others are not loaded.

    Args:
        what: what the file should be, for the messages.
        remedy: where the right file is found.
    Returns:
        name -> array of the shape expected; indices int64 as they are in the file, all else finite floats.
    Raises:
        LicensedFileError: the file is missing, something else, or an array is of another kind.
    """
    present = _contents(path, what, remedy)
    if any(name not in present or not _fits(present[name], item.shape) for name, item in expected.items()):
        found = ", ".join(f"{name} {shape}" for name, shape in sorted(present.items())) or "no array"
        likely = recognise(present)
        raise LicensedFileError(
            f"{path} is not {what}",
            ", ".join(f"{name} {_text(item.shape)}" for name, item in expected.items()),
            found + (f": this looks like {likely}" if likely else ""),
            remedy,
        )
    try:
        loaded = loadmat(str(path), appendmat=False, variable_names=list(expected))
    except _DAMAGE as error:
        raise LicensedFileError(f"{path} cannot be read to its end", what, str(error), remedy) from error
    return {name: _checked(path, name, loaded[name], item, remedy) for name, item in expected.items()}


def recognise(names: Mapping[str, Any] | Sequence[str]) -> str | None:
    """What a file with arrays of these `names` is, if it is one of the usual ones."""
    return next((text for keys, text in KNOWN_CONTENTS if all(key in names for key in keys)), None)


def recognise_bytes(head: bytes) -> str | None:
    """What a file is that begins with `head`, if it is one of the usual mix-ups."""
    known = next((text for signature, text in _SIGNATURES if head.startswith(signature)), None)
    if known is None and head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<head")):
        return "a web page: the download asked for a login or a confirmation"
    return known


def array_names(path: Path, what: str, remedy: str) -> tuple[str, ...]:
    """Names of the arrays in a .mat file; see `read_matlab` for the arguments and the errors."""
    return tuple(_contents(path, what, remedy))


def require_file(path: Path, what: str, remedy: str) -> None:
    """Raise LicensedFileError unless `path` is a file with something in it.

    The message names what lies in the folder instead.
    """
    if path.is_file() and path.stat().st_size > 0:
        return
    folder = path.parent
    if path.is_file():
        found = "a file of 0 bytes"
    elif not folder.is_dir():
        found = f"no folder {folder}"
    else:
        names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
        found = ("only " + ", ".join(names[:12])) if names else "an empty folder"
        if any(name.lower().endswith(".h5") for name in names):
            found += "; .h5 files are the Basel Face Models 2017 and 2019, other models"
    raise LicensedFileError(f"{path} is missing", what, found, remedy)


def _contents(path: Path, what: str, remedy: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the arrays in a file."""
    require_file(path, what, remedy)
    with path.open("rb") as file:
        known = recognise_bytes(file.read(512))
    if known:
        raise LicensedFileError(f"{path} is not {what}", "a MATLAB 5 to 7 file", known, remedy)
    try:
        return {name: tuple(shape) for name, shape, _ in whosmat(str(path), appendmat=False)}
    except _DAMAGE as error:
        raise LicensedFileError(
            f"{path} cannot be read", f"{what}, a MATLAB 5 to 7 file", str(error) or "a broken file", remedy
        ) from error


def _fits(shape: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    def same(one: tuple[int, ...]) -> bool:
        return len(one) == len(expected) and all(
            e is None or e == n for n, e in zip(one, expected, strict=True)
        )

    return same(shape) or (1 in expected and same(shape[::-1]))


def _checked(path: Path, name: str, values: NDArray, item: Expected, remedy: str) -> NDArray:
    if values.dtype.kind not in "fiub":
        raise LicensedFileError(
            f"{path}: {name} holds no numbers", "an array of numbers", str(values.dtype), remedy
        )
    if not np.isfinite(values).all():
        raise LicensedFileError(
            f"{path}: {name} has values that are no numbers", "finite numbers", "NaN or infinity", remedy
        )
    if not all(e is None or e == n for n, e in zip(values.shape, item.shape, strict=True)):
        values = values.T
    if item.highest is None or item.lowest is None:
        return values
    whole = values.astype(np.int64)
    low, high = int(whole.min(initial=item.highest)), int(whole.max(initial=item.lowest))
    if (whole != values).any() or low < item.lowest or high > item.highest:
        raise LicensedFileError(
            f"{path}: {name} holds other indices",
            f"whole numbers {item.lowest}..{item.highest} (MATLAB counts from 1)",
            f"values {values.min()}..{values.max()}",
            remedy,
        )
    repeated = whole.size - np.unique(whole).size if item.distinct else 0
    if repeated:
        raise LicensedFileError(
            f"{path}: {name} names {repeated} vertices more than once", "distinct indices", "repeats", remedy
        )
    return whole


def _text(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("n" if size is None else str(size) for size in shape) + ")"
