"""MATLAB files that users bring: what is inside is known and checked before anything is loaded."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat, whosmat

from facemill.runtime.errors import FacemillError, FormatError, LicensedFileError
from facemill.runtime.inputs import decoding, is_plain_file, require_plain_file

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

MOST_NUMBERS = 1_000_000
#: MATLAB's classes of plain numbers. Cells and structures can nest without end, functions are code.
_NUMBERS = frozenset(
    ("double", "single", "logical", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
)
_ANY_MATLAB = "a MATLAB 5 to 7 file"


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
    require_file(path, what, remedy)
    found_arrays = _contents(path, what, remedy, LicensedFileError)
    for name in (name for name in expected if name in found_arrays):
        if found_arrays[name][1] not in _NUMBERS:
            kind = found_arrays[name][1]
            raise LicensedFileError(f"{path}: {name} holds no numbers", "an array of numbers", kind, remedy)
    present = {name: shape for name, (shape, _) in found_arrays.items()}
    if any(name not in present or not _fits(present[name], item.shape) for name, item in expected.items()):
        found = ", ".join(f"{name} {shape}" for name, shape in sorted(present.items())) or "no array"
        likely = recognise(present)
        raise LicensedFileError(
            f"{path} is not {what}",
            ", ".join(f"{name} {_text(item.shape)}" for name, item in expected.items()),
            found + (f": this looks like {likely}" if likely else ""),
            remedy,
        )
    loaded = _load(path, list(expected), what, remedy, LicensedFileError)
    return {name: _checked(path, name, loaded[name], item, remedy) for name, item in expected.items()}


def read_small_matlab(path: str | Path, names: Sequence[str], what: str, remedy: str) -> dict[str, NDArray]:
    """Those arrays of numbers among `names` that a .mat file holds, as they are; nothing else is loaded.

    Raises:
        FormatError: the file is missing, is no .mat of version 4 to 7, is damaged, or an array of these names
            holds no numbers, more than `MOST_NUMBERS` of them, or NaN or infinity.
    """
    present = _contents(path, what, remedy, FormatError)
    wanted = [name for name in names if name in present]
    for name in wanted:
        shape, kind = present[name]
        if kind not in _NUMBERS or math.prod(shape) > MOST_NUMBERS or min(shape, default=0) < 0:
            found = f"{kind} of shape {shape}"
            raise FormatError(f"{path}: {name} is of another kind", f"{what}, a few numbers", found, remedy)
    loaded = _load(path, wanted, what, remedy, FormatError)
    for name, values in loaded.items():
        if values.dtype.kind not in "fiub" or not np.isfinite(values).all():
            found = "NaN, infinity or complex numbers"
            raise FormatError(
                f"{path}: {name} has values that are no numbers", "finite numbers", found, remedy
            )
    return loaded


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
    require_file(path, what, remedy)
    return tuple(_contents(path, what, remedy, LicensedFileError))


def require_file(path: Path, what: str, remedy: str) -> None:
    """Raise LicensedFileError unless `path` is a file with something in it.

    The message names what lies in the folder instead.
    """
    there = is_plain_file(path)
    if there and path.stat().st_size > 0:
        return
    folder = path.parent
    if there:
        found = "a file of 0 bytes"
    elif os.path.lexists(path):
        found = "a folder, a pipe or a device of this name"
    elif not folder.is_dir():
        found = f"no folder {folder}"
    else:
        names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
        found = ("only " + ", ".join(names[:12])) if names else "an empty folder"
        if any(name.lower().endswith(".h5") for name in names):
            found += "; .h5 files are the Basel Face Models 2017 and 2019, other models"
    raise LicensedFileError(f"{path} is missing", what, found, remedy)


def _contents(
    path: str | Path, what: str, remedy: str, refusal: type[FacemillError]
) -> dict[str, tuple[tuple[int, ...], str]]:
    """Names of the arrays in a file, each with its shape and MATLAB's class; only headers are read."""
    require_plain_file(path, what, remedy, refusal)
    with decoding(path, f"{what}, {_ANY_MATLAB}", remedy, refusal):
        with open(path, "rb") as file:
            known = recognise_bytes(file.read(512))
        if known:
            raise refusal(f"{path} is not {what}", _ANY_MATLAB, known, remedy)
        return {name: (tuple(shape), kind) for name, shape, kind in whosmat(str(path), appendmat=False)}


def _load(
    path: str | Path, names: Sequence[str], what: str, remedy: str, refusal: type[FacemillError]
) -> dict[str, NDArray]:
    """The arrays `names`, which `_contents` has found to be there and to be of the right size."""
    with decoding(path, f"{what}, whole", remedy, refusal):
        loaded = loadmat(str(path), appendmat=False, variable_names=list(names))
        arrays = {name: loaded[name] for name in names}
    strange = next((name for name, values in arrays.items() if not isinstance(values, np.ndarray)), None)
    if strange is not None:
        found = type(arrays[strange]).__name__
        raise refusal(f"{path}: {strange} is no full array", "an array of numbers", found, remedy)
    return arrays


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
