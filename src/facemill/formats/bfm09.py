"""The Basel Face Model 2009 as Deep3DFaceRecon uses it (Paysan et al. 2009, Deng et al. 2019).

Micrometres, decimetres, colours 0..255 and indices from 1 there; millimetres, 0..1 and from 0 here.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import savemat

from facemill.formats.bfm09_files import (
    CROP_COUNT,
    CROP_TRIANGLES,
    FRONT_COUNT,
    INFO_ARRAYS,
    Bfm09Files,
)
from facemill.formats.matlab import Expected, read_matlab
from facemill.runtime.files import write_bytes

IDENTITIES, CROP_EXPRESSIONS, COLOURS = 80, 64, 80
MICROMETRES_PER_MILLIMETRE = 1000.0
MILLIMETRES_PER_DECIMETRE = 100.0
LEVELS = 255.0
_HEADER = b"MATLAB 5.0 MAT-file, written by Facemill in the layout of BFM_model_front.mat"


@dataclass(frozen=True)
class Bfm09Bases:
    """Mean and bases of V vertices, BFM's own origin, +y up and +z out of the face.

    Attributes:
        mean_shape: (V, 3) millimetres.
        identity_basis: (80, V, 3), expression_basis: (64, V, 3): millimetres at one standard deviation.
        albedo_mean: (V, 3), albedo_basis: (80, V, 3): colours 0..1.
    """

    mean_shape: NDArray[np.float32]
    identity_basis: NDArray[np.float32]
    expression_basis: NDArray[np.float32]
    albedo_mean: NDArray[np.float32]
    albedo_basis: NDArray[np.float32]


@dataclass(frozen=True)
class Bfm09Front:
    """The crop of 35,709 vertices that Deep3DFaceRecon reconstructs with.

    Attributes:
        bases: of its vertices.
        triangles: (70789, 3).
        incident: (35709, 8) triangles of each vertex, -1 where it has fewer.
        landmarks68: (68,) vertices.
        front: (27660,) vertices of the region that is compared with photos.
        front_triangles: (54681, 3) triangles of that region as vertices of the whole crop. The file numbers
            them within `front`; Deep3DFaceRecon's PyTorch program takes them for vertices of the crop, which
            joins unrelated vertices.
        skin: (35709,) bool, vertices whose albedo should be even.
    """

    bases: Bfm09Bases
    triangles: NDArray[np.int64]
    incident: NDArray[np.int64]
    landmarks68: NDArray[np.int64]
    front: NDArray[np.int64]
    front_triangles: NDArray[np.int64]
    skin: NDArray[np.bool_]


@dataclass(frozen=True)
class Bfm09Head:
    """The whole head of 53,490 vertices.

    Attributes:
        bases: of its vertices; the expression basis is 0 where `expressive` is False.
        triangles: (F, 3).
        expressive: (53490,) bool, vertices for which the expression basis has values.
        crop: (35709,) which vertices are those of the crop, in its order.
    """

    bases: Bfm09Bases
    triangles: NDArray[np.int64]
    expressive: NDArray[np.bool_]
    crop: NDArray[np.int64]


def front_of(files: Bfm09Files) -> Bfm09Front:
    """Cut the crop out of the model, as Deep3DFaceRecon does; the mean expression is left out as there."""
    rows = files.trim[files.crop]
    return _front(_bases(files, rows, files.crop), files.info)


def head_of(files: Bfm09Files) -> Bfm09Head | None:
    """The whole head, or None when the model file holds no triangles."""
    if files.triangles is None:
        return None
    count = len(files.shape_mean)
    source = np.full(count, -1, dtype=np.int64)
    source[files.trim] = np.arange(len(files.trim))
    return Bfm09Head(
        _bases(files, np.arange(count), source), files.triangles, source >= 0, files.trim[files.crop]
    )


def read_model_front(path: str | Path) -> Bfm09Front:
    """Read `BFM_model_front.mat`, written by either Deep3DFaceRecon or by `write_model_front`.

    Raises:
        LicensedFileError: the file is missing, is something else, or an array is of another shape or range.
    """
    size = 3 * CROP_COUNT
    expected = {
        "meanshape": Expected((1, size)),
        "meantex": Expected((1, size)),
        "idBase": Expected((size, IDENTITIES)),
        "exBase": Expected((size, CROP_EXPRESSIONS)),
        "texBase": Expected((size, COLOURS)),
        **INFO_ARRAYS,
    }
    found = read_matlab(
        Path(path),
        "BFM_model_front.mat, the cropped Basel Face Model",
        expected,
        "give 01_MorphableModel.mat and the files beside it instead; this one is then made from them "
        "(resources/README.md)",
    )
    bases = Bfm09Bases(
        _points(found["meanshape"]) * np.float32(MILLIMETRES_PER_DECIMETRE),
        _basis(found["idBase"], MILLIMETRES_PER_DECIMETRE),
        _basis(found["exBase"], MILLIMETRES_PER_DECIMETRE),
        _points(found["meantex"]) / np.float32(LEVELS),
        _basis(found["texBase"], 1 / LEVELS),
    )
    return _front(bases, found)


def write_model_front(path: str | Path, front: Bfm09Front) -> None:
    """Write `BFM_model_front.mat`: the keys, shapes, units and index bases of Deep3DFaceRecon.

    `meanshape`, `meantex` (1, 107127), `idBase`, `exBase`, `texBase` (107127, n): float32, decimetres and
    0..255. `tri`, `point_buf` (padded with 70790), `tri_mask2` (numbered within `frontmask2_idx`),
    `keypoints`, `frontmask2_idx`: int32, from 1. `skinmask`: uint8. Equal input gives equal bytes.
    """
    bases = front.bases
    within = np.zeros(CROP_COUNT, dtype=np.int64)
    within[front.front] = np.arange(FRONT_COUNT)
    padded = np.where(front.incident < 0, CROP_TRIANGLES, front.incident)
    arrays = {
        "meanshape": (bases.mean_shape / MILLIMETRES_PER_DECIMETRE).reshape(1, -1),
        "meantex": (bases.albedo_mean * LEVELS).reshape(1, -1),
        "idBase": _columns(bases.identity_basis) / MILLIMETRES_PER_DECIMETRE,
        "exBase": _columns(bases.expression_basis) / MILLIMETRES_PER_DECIMETRE,
        "texBase": _columns(bases.albedo_basis) * LEVELS,
    }
    arrays = {key: values.astype(np.float32) for key, values in arrays.items()}
    indices = {
        "tri": front.triangles,
        "point_buf": padded,
        "tri_mask2": within[front.front_triangles],
        "keypoints": front.landmarks68[None],
        "frontmask2_idx": front.front[:, None],
    }
    arrays |= {key: (values + 1).astype(np.int32) for key, values in indices.items()}
    arrays["skinmask"] = front.skin[None].astype(np.uint8)
    stream = io.BytesIO()
    savemat(stream, arrays)
    content = bytearray(stream.getvalue())
    content[:116] = _HEADER.ljust(116)  # in place of the date
    write_bytes(path, bytes(content))


def _front(bases: Bfm09Bases, info: dict[str, NDArray]) -> Bfm09Front:
    front = info["frontmask2_idx"].reshape(-1) - 1
    incident = info["point_buf"] - 1
    return Bfm09Front(
        bases,
        info["tri"] - 1,
        np.where(incident == CROP_TRIANGLES, -1, incident),
        info["keypoints"].reshape(-1) - 1,
        front,
        front[info["tri_mask2"] - 1],
        info["skinmask"].reshape(-1) == 1,
    )


def _bases(files: Bfm09Files, rows: NDArray, expression_rows: NDArray) -> Bfm09Bases:
    """Bases of the model's vertices `rows`; their rows in the expression basis, -1 where it has none."""
    scale = 1 / MICROMETRES_PER_MILLIMETRE
    identity = _scaled(files.shape_basis, files.shape_deviations, rows, IDENTITIES, scale)
    albedo = _scaled(files.colour_basis, files.colour_deviations, rows, COLOURS, 1 / LEVELS)
    deviations = files.expression_deviations[:CROP_EXPRESSIONS] * scale
    known = expression_rows >= 0
    expression = np.zeros((CROP_EXPRESSIONS, len(rows), 3), dtype=np.float32)
    chosen = files.expression_basis[:CROP_EXPRESSIONS][:, expression_rows[known]]
    expression[:, known] = chosen * deviations[:, None, None].astype(np.float32)
    return Bfm09Bases(
        (files.shape_mean[rows] * scale).astype(np.float32),
        identity,
        expression,
        (files.colour_mean[rows] / LEVELS).astype(np.float32),
        albedo,
    )


def _scaled(
    basis: NDArray, deviations: NDArray, rows: NDArray, count: int, unit: float
) -> NDArray[np.float32]:
    """(V * 3, n) columns -> (count, len(rows), 3), times their standard deviations."""
    chosen = basis.reshape(-1, 3, basis.shape[1])[rows][:, :, :count]
    factors = (deviations[:count] * unit).astype(np.float32)
    return np.ascontiguousarray(np.moveaxis(chosen * factors, 2, 0), dtype=np.float32)


def _points(row: NDArray) -> NDArray[np.float32]:
    return row.reshape(-1, 3).astype(np.float32)


def _basis(columns: NDArray, scale: float) -> NDArray[np.float32]:
    return np.ascontiguousarray((columns.T * scale).reshape(columns.shape[1], -1, 3), dtype=np.float32)


def _columns(basis: NDArray) -> NDArray:
    return basis.reshape(len(basis), -1).T
