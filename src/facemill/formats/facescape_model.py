"""FaceScape's bilinear face model (Yang et al. 2020) as its early releases and MVFR hand it out.

core_847_50_52.npy         (K, 52, 3V) shapes: identity weights, expressions (slot 0 neutral), coordinates
factor_847_50_52.json      id_mean, id_var (K,): identity weights of the people it was made from;
                           lm_index_full (204,): the coordinates 3v, 3v + 1, 3v + 2 of 68 vertices;
                           faces (F, 3), 1-based; factors_id_0 (one person, not needed)
1_neutral.obj              a neutral face of the same vertices, with the atlas

A shape is core x_1 (identity weights) x_2 (expression weights). Millimetres, y up, z out of the face.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facemill.formats.matlab import recognise_bytes, require_file
from facemill.formats.meshes import read_obj
from facemill.geometry.mesh import Mesh
from facemill.geometry.similarity import fit_similarity
from facemill.runtime.errors import FormatError, LicensedFileError
from facemill.runtime.files import load_array
from facemill.runtime.inputs import read_json_object

CORE_FILE, FACTORS_FILE, NEUTRAL_FILE = "core_847_50_52.npy", "factor_847_50_52.json", "1_neutral.obj"
EXPRESSIONS = 52
#: Outer corners of the eyes of an adult lie this far apart, millimetres; tells files in other units.
EYE_CORNERS = (50.0, 150.0)
#: Root mean square by which 1_neutral.obj may miss the mean face after a similarity, of the face's size.
LARGEST_MISS = 0.1

_REMEDY = (
    "copy core_847_50_52.npy, factor_847_50_52.json and 1_neutral.obj, which FaceScape hands out on "
    "application and MVFR unpacks to its folder of predefined data, to this place; see resources/README.md"
)


@dataclass(frozen=True)
class FacescapeModel:
    """The model as its files hold it, millimetres.

    Attributes:
        core: (3V, 52, K) float32; slot 0 of the second axis is the neutral shape, the others are residuals
            to it.
        identity_mean, identity_deviation: (K,) mean and standard deviation of the identity weights.
        mesh: the mean neutral face with triangles and atlas of 1_neutral.obj.
        landmarks68: (68,) vertices.
    """

    core: NDArray[np.float32]
    identity_mean: NDArray[np.float64]
    identity_deviation: NDArray[np.float64]
    mesh: Mesh
    landmarks68: NDArray[np.int64]


def read_facescape_model(folder: str | Path) -> FacescapeModel:
    """Read and check the three files of `folder`.

    Raises:
        LicensedFileError: a file is missing, is another one, is cut short, or does not belong to the others;
            the face is in other units, turned or mirrored.
    """
    folder = Path(folder)
    for name in (FACTORS_FILE, CORE_FILE, NEUTRAL_FILE):
        require_file(folder / name, "FaceScape's bilinear model, three files", _REMEDY)
    factors = _read_factors(folder / FACTORS_FILE)
    mean, deviation = _weights(folder / FACTORS_FILE, factors)
    core = _read_core(folder / CORE_FILE, len(mean))
    count = len(core) // 3
    neutral = _read_neutral(folder / NEUTRAL_FILE, count)
    landmarks = _landmarks(folder / FACTORS_FILE, factors, count)
    _check_faces(folder / FACTORS_FILE, factors, count)
    vertices = (core[:, 0] @ mean).reshape(-1, 3)
    _check_pose(folder, vertices[landmarks])
    _check_order(folder / NEUTRAL_FILE, neutral.vertices, vertices)
    for slot in range(1, EXPRESSIONS):
        core[:, slot] -= core[:, 0]
    return FacescapeModel(core, mean, deviation, neutral.with_vertices(vertices), landmarks)


def _refuse_mixed_up(path: Path) -> None:
    """Raise LicensedFileError when a file begins like one that is often taken for it."""
    with path.open("rb") as file:
        found = recognise_bytes(file.read(512))
    if found:
        raise LicensedFileError(f"{path} cannot be read", "a file of the bilinear model", found, _REMEDY)


def _read_factors(path: Path) -> dict[str, Any]:
    _refuse_mixed_up(path)
    wanted = ("id_mean", "id_var", "lm_index_full", "faces")
    what = "the factors of the bilinear model, a JSON object"
    return read_json_object(path, what, _REMEDY, wanted, refusal=LicensedFileError)


def _weights(path: Path, factors: dict[str, Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of the identity weights."""
    mean, variance = (_numbers(factors[key]) for key in ("id_mean", "id_var"))
    if mean.ndim != 1 or not len(mean) or mean.shape != variance.shape:
        raise LicensedFileError(
            f"{path}: id_mean and id_var",
            "two lists of as many numbers",
            f"shapes {mean.shape} and {variance.shape}",
            _REMEDY,
        )
    if not (np.isfinite(mean).all() and (variance > 0).all() and np.isfinite(variance).all()):
        raise LicensedFileError(
            f"{path}: id_mean and id_var", "finite numbers, variances above 0", "others", _REMEDY
        )
    return mean, np.sqrt(variance)


def _read_core(path: Path, identities: int) -> NDArray[np.float32]:
    """(3V, 52, K) float32, read in pieces: the file has 0.8 GB, or twice that in double precision."""
    _refuse_mixed_up(path)
    stored = load_array(path, "a .npy array of numbers", _REMEDY, LicensedFileError, mapped=True)
    expected = (
        f"({identities}, {EXPRESSIONS}, 3V) numbers: weights as in {FACTORS_FILE}, expressions, coordinates"
    )
    shape = stored.shape
    if len(shape) == 3 and shape[1:] == (EXPRESSIONS, identities) and shape[0] % 3 == 0:
        turned = True  # the other way round, as programs keep it in memory
    elif len(shape) == 3 and shape[:2] == (identities, EXPRESSIONS) and shape[2] % 3 == 0:
        turned = False
    else:
        hint = ": core_847_300_52.npy has its own factors" if 300 in shape else ""
        raise LicensedFileError(f"{path} is of another shape", expected, f"{shape}{hint}", _REMEDY)
    if stored.dtype.kind != "f":
        raise LicensedFileError(
            f"{path} holds no floating-point numbers", expected, str(stored.dtype), _REMEDY
        )
    core = np.empty(shape if turned else shape[::-1], dtype=np.float32)
    for slot in range(EXPRESSIONS):
        core[:, slot] = stored[:, slot] if turned else stored[:, slot].T
    if not np.isfinite(core).all() or not core.size:
        raise LicensedFileError(f"{path} holds values that are no numbers", expected, "NaN or inf", _REMEDY)
    return core


def _read_neutral(path: Path, count: int) -> Mesh:
    try:
        mesh = read_obj(path)
    except FormatError as error:
        raise LicensedFileError(error.subject, error.expected, error.found, _REMEDY) from error
    if mesh.uv is None or mesh.uv_triangles is None:
        raise LicensedFileError(
            f"{path} has no texture coordinates", "faces like f 1/1 2/2 3/3", "faces without", _REMEDY
        )
    if len(mesh.vertices) != count:
        raise LicensedFileError(
            f"{path} is of another mesh than {CORE_FILE}",
            f"{count} vertices",
            f"{len(mesh.vertices)}",
            _REMEDY,
        )
    return mesh


def _landmarks(path: Path, factors: dict[str, Any], count: int) -> NDArray[np.int64]:
    """68 vertices of 204 coordinates."""
    index = _numbers(factors["lm_index_full"]).ravel()
    expected = "204 whole numbers 3v, 3v + 1, 3v + 2 of 68 vertices"
    if len(index) != 204:
        raise LicensedFileError(f"{path}: lm_index_full", expected, f"{len(index)} numbers", _REMEDY)
    triples = index.reshape(68, 3)
    vertices = triples[:, 0] / 3
    whole = (vertices == np.floor(vertices)) & (triples == triples[:, :1] + np.arange(3)).all(axis=1)
    if not (whole.all() and (vertices >= 0).all() and (vertices < count).all()):
        raise LicensedFileError(f"{path}: lm_index_full", expected, str(triples[0].tolist()), _REMEDY)
    return vertices.astype(np.int64)


def _check_faces(path: Path, factors: dict[str, Any], count: int) -> None:
    faces = _numbers(factors["faces"])
    fits = faces.ndim == 2 and faces.shape[1] in (3, 4) and len(faces) > 0
    if not (fits and faces.min() >= 1 and faces.max() <= count):
        found = f"{faces.min():g} .. {faces.max():g}" if fits else f"shape {faces.shape}"
        raise LicensedFileError(
            f"{path}: faces do not fit {CORE_FILE}", f"vertices 1 .. {count}", found, _REMEDY
        )


def _check_pose(folder: Path, points: NDArray) -> None:
    """The mean face looks along +z with +y up, in millimetres."""
    width = float(np.linalg.norm(points[45] - points[36]))
    if not EYE_CORNERS[0] <= width <= EYE_CORNERS[1]:
        raise LicensedFileError(
            f"{folder}: the mean face is in other units",
            f"millimetres: {EYE_CORNERS[0]:g} to {EYE_CORNERS[1]:g} between the outer corners of the eyes",
            f"{width:.4g}",
            _REMEDY,
        )
    across, up = points[45] - points[36], points[27] - points[8]
    out = points[30, 2] - points[[36, 45], 2].mean()
    if not (across[0] > 2 * np.abs(across[1:]).max() and up[1] > 2 * abs(up[0]) and up[1] > 0 and out > 0):
        raise LicensedFileError(
            f"{folder}: the mean face is turned or mirrored, or {CORE_FILE} is another model's",
            "the person's left at +x, the forehead at +y, the nose at +z",
            f"left towards {np.round(across, 1)}, forehead towards {np.round(up, 1)}, nose at z {out:+.3g}",
            _REMEDY,
        )


def _check_order(path: Path, neutral: NDArray, mean: NDArray) -> None:
    """1_neutral.obj is a face of the same vertices in the same order, in whatever frame and unit."""
    moved = fit_similarity(neutral, mean).apply(neutral)
    miss = float(np.sqrt(((moved - mean) ** 2).sum(axis=1).mean()))
    size = float(np.sqrt(((mean - mean.mean(axis=0)) ** 2).sum(axis=1).mean()))
    if not miss <= LARGEST_MISS * size:
        raise LicensedFileError(
            f"{path} numbers its vertices otherwise than {CORE_FILE}",
            f"the mean face to {100 * LARGEST_MISS:g} % of its size",
            f"{100 * miss / size:.0f} %",
            _REMEDY,
        )


def _numbers(values: Any) -> NDArray[np.float64]:
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return np.empty((0, 0))
