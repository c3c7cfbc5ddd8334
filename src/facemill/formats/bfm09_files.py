"""The files of which Deep3DFaceRecon makes its face model, each checked before it is believed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facemill.formats.matlab import Expected, array_names, read_matlab, recognise_bytes, require_file
from facemill.runtime.errors import LicensedFileError
from facemill.runtime.inputs import decoding, read_content

VERTICES = 53490
COMPONENTS = 199
TRIMMED = 53215
EXPRESSIONS = 79
CROP_COUNT, CROP_TRIANGLES = 35709, 70789
FRONT_COUNT, FRONT_TRIANGLES = 27660, 54681
INCIDENT = 8
LARGEST_DEVIATIONS = 1_000_000  # bytes; the file has 79 numbers

MODEL_FILE = "01_MorphableModel.mat"
EXPRESSION_FILE = "Exp_Pca.bin"
DEVIATION_FILE = "std_exp.txt"
CROP_FILE = "BFM_front_idx.mat"
TRIM_FILE = "BFM_exp_idx.mat"
INFO_FILE = "facemodel_info.mat"
#: What the conversion needs, in the order in which it is checked.
FILES = (MODEL_FILE, EXPRESSION_FILE, DEVIATION_FILE, CROP_FILE, TRIM_FILE, INFO_FILE)

_MODEL_ARRAYS = {
    "shapePC": Expected((3 * VERTICES, COMPONENTS)),
    "shapeEV": Expected((COMPONENTS, 1)),
    "shapeMU": Expected((3 * VERTICES, 1)),
    "texPC": Expected((3 * VERTICES, COMPONENTS)),
    "texEV": Expected((COMPONENTS, 1)),
    "texMU": Expected((3 * VERTICES, 1)),
}
_TRIANGLES = {"tl": Expected((None, 3), 1, VERTICES)}
#: What `facemodel_info.mat` and `BFM_model_front.mat` both hold.
INFO_ARRAYS = {
    "tri": Expected((CROP_TRIANGLES, 3), 1, CROP_COUNT),
    "point_buf": Expected((CROP_COUNT, INCIDENT), 1, CROP_TRIANGLES + 1),
    "tri_mask2": Expected((FRONT_TRIANGLES, 3), 1, FRONT_COUNT),
    "keypoints": Expected((1, 68), 1, CROP_COUNT),
    "frontmask2_idx": Expected((FRONT_COUNT, 1), 1, CROP_COUNT, distinct=True),
    "skinmask": Expected((1, CROP_COUNT), 0, 1),
}

_MODEL_REMEDY = (
    "copy PublicMM1/01_MorphableModel.mat out of BaselFaceModel.tgz to this place (University of Basel, on "
    "application; the .h5 files of 2017 and 2019 are other models), or set model: head (resources/README.md)"
)
_EXPRESSION_REMEDY = (
    "copy Exp_Pca.bin of Guo et al. to this place, whole (the repositories of Deep3DFaceReconstruction link "
    "to it), or set model: head; see resources/README.md"
)
_INDEX_REMEDY = (
    "copy {} out of the folder BFM/ of Deep3DFaceRecon_pytorch or Deep3DFaceReconstruction to this place; "
    "see resources/README.md"
)


@dataclass(frozen=True)
class Bfm09Files:
    """What the files hold: micrometres and colours 0..255 as there, indices from 0.

    Attributes:
        shape_mean, colour_mean: (53490, 3).
        shape_basis, colour_basis: (160470, 199) unit columns; shape_deviations, colour_deviations: (199,).
        triangles: (F, 3) of the whole head, None where the model file has no `tl`.
        expression_basis: (79, 53215, 3); expression_deviations: (79,).
        trim: (53215,) the vertex of the model which each row of the expression basis moves.
        crop: (35709,) which of those rows the crop keeps.
        info: the arrays of facemodel_info.mat as they lie there, indices from 1.
    """

    shape_mean: NDArray
    shape_basis: NDArray
    shape_deviations: NDArray
    colour_mean: NDArray
    colour_basis: NDArray
    colour_deviations: NDArray
    triangles: NDArray[np.int64] | None
    expression_basis: NDArray[np.float32]
    expression_deviations: NDArray[np.float64]
    trim: NDArray[np.int64]
    crop: NDArray[np.int64]
    info: dict[str, NDArray]


def read_bfm09_files(folder: str | Path) -> Bfm09Files:
    """Read and check the files of `FILES` in a folder; the small ones first, so that mistakes show soon.

    Raises:
        LicensedFileError: a file is missing, is another one, is cut short, or holds other shapes or indices.
    """
    folder = Path(folder)
    for name in FILES:
        require_file(folder / name, WHAT[name], remedy_of(name))
    deviations = _read_deviations(folder / DEVIATION_FILE)
    crop = _read_indices(folder / CROP_FILE, "idx", CROP_COUNT, TRIMMED)
    trim = _read_indices(folder / TRIM_FILE, "trimIndex", TRIMMED, VERTICES)
    info = read_matlab(folder / INFO_FILE, WHAT[INFO_FILE], INFO_ARRAYS, remedy_of(INFO_FILE))
    expressions = read_expression_basis(folder / EXPRESSION_FILE)
    path = folder / MODEL_FILE
    model = read_matlab(path, WHAT[MODEL_FILE], _MODEL_ARRAYS, _MODEL_REMEDY)
    triangles = None
    if "tl" in array_names(path, WHAT[MODEL_FILE], _MODEL_REMEDY):
        triangles = read_matlab(path, WHAT[MODEL_FILE], _TRIANGLES, _MODEL_REMEDY)["tl"] - 1
    return Bfm09Files(
        model["shapeMU"].reshape(-1, 3),
        model["shapePC"],
        model["shapeEV"].reshape(-1),
        model["texMU"].reshape(-1, 3),
        model["texPC"],
        model["texEV"].reshape(-1),
        triangles,
        expressions,
        deviations,
        trim,
        crop,
        info,
    )


def read_expression_basis(path: str | Path) -> NDArray[np.float32]:
    """`Exp_Pca.bin`: (79, 53215, 3), unit length, micrometres once multiplied by std_exp.txt.

    A little-endian int32 79, then float32: the mean (3 x 53215, not used), then the components row by row.

    Raises:
        LicensedFileError: the file is missing, is cut short, or is something else.
    """
    path = Path(path)
    require_file(path, WHAT[EXPRESSION_FILE], _EXPRESSION_REMEDY)
    whole = 4 + 4 * 3 * TRIMMED * (1 + EXPRESSIONS)
    size = path.stat().st_size
    with (
        decoding(path, WHAT[EXPRESSION_FILE], _EXPRESSION_REMEDY, LicensedFileError),
        path.open("rb") as file,
    ):
        head = file.read(512)
    count = int(np.frombuffer(head[:4].ljust(4, b"\0"), dtype="<i4")[0])
    if size != whole or count != EXPRESSIONS:
        known = recognise_bytes(head)
        cut = f", {size / whole:.0%} of it: the file is cut short" if size < whole else ""
        found = known or f"{size} bytes{cut}" + ("" if count == EXPRESSIONS else f", first number {count}")
        raise LicensedFileError(
            f"{path} is not {WHAT[EXPRESSION_FILE]}",
            f"{whole} bytes, of which the first four are the number {EXPRESSIONS}",
            found,
            _EXPRESSION_REMEDY,
        )
    values = np.fromfile(path, dtype="<f4", offset=4 + 4 * 3 * TRIMMED)
    if not np.isfinite(values).all():
        raise LicensedFileError(
            f"{path} has values that are no numbers", "finite numbers", "NaN or infinity", _EXPRESSION_REMEDY
        )
    return values.reshape(EXPRESSIONS, TRIMMED, 3)


def remedy_of(name: str) -> str:
    """Where the file `name` comes from."""
    special = {MODEL_FILE: _MODEL_REMEDY, EXPRESSION_FILE: _EXPRESSION_REMEDY}
    return special.get(name, _INDEX_REMEDY.format(name))


def _read_indices(path: Path, key: str, count: int, highest: int) -> NDArray[np.int64]:
    expected = {key: Expected((count, 1), 1, highest, distinct=True)}
    return read_matlab(path, WHAT[path.name], expected, remedy_of(path.name))[key].reshape(-1) - 1


def _read_deviations(path: Path) -> NDArray[np.float64]:
    what, remedy = WHAT[DEVIATION_FILE], remedy_of(DEVIATION_FILE)
    content = read_content(path, what, remedy, LicensedFileError, largest=LARGEST_DEVIATIONS)
    words = content.decode("utf-8", "replace").split()
    try:
        values = np.array(words, dtype=np.float64)
    except ValueError:
        values = np.empty(0)
    if values.shape != (EXPRESSIONS,) or not (np.isfinite(values) & (values > 0)).all():
        found = f"{len(words)} words, the first {words[0][:40]!r}" if words else "nothing"
        known = recognise_bytes(content[:512])
        raise LicensedFileError(
            f"{path} is not {what}",
            f"{EXPRESSIONS} positive numbers, the first 453980",
            known or found,
            remedy,
        )
    return values


#: What each file is, for the messages.
WHAT = {
    MODEL_FILE: "the Basel Face Model 2009",
    EXPRESSION_FILE: "the expression basis of Guo et al. (79 components, 53215 vertices)",
    DEVIATION_FILE: "the standard deviations of the expression basis",
    CROP_FILE: "the vertex numbers of the crop",
    TRIM_FILE: "the vertex numbers of the expression basis",
    INFO_FILE: "the triangles and landmarks of the crop",
}
