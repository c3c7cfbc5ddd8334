"""FaceScape's raw multi-view captures: photos, cameras with lenses, and the scanned surface.

<images>/<person>/<expression>/<view>.jpg, params.json          a capture: person 1, 2, …; view 0, 1, …
<meshes>/<person>/<expression>.ply                               the surface, in the world of its cameras

`params.json` holds for each view `<view>_K` (3x3; the published description says 4x4), `_Rt` (3x4, world to
camera, OpenCV axes), `_distortion` (k1 k2 p1 p2 k3), `_width`, `_height`, `_valid` (false: do not use), and
`_matches`, `_sn`, `_ori` (matched features, serial number of the camera, original file name), which are not
needed to use it. The photos are distorted. The world has a unit of its own; ours is the millimetre.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from facemill.formats.facescape_sets import EXPRESSIONS as EXPRESSIONS
from facemill.formats.rig_views import BadViewError, pixels_of
from facemill.geometry.camera import Camera
from facemill.geometry.lens import Lens
from facemill.runtime.errors import FormatError
from facemill.runtime.files import write_json
from facemill.runtime.inputs import is_plain_file, read_json_object, shown

PARAMETERS = "params.json"
_FIELDS = ("K", "Rt", "distortion", "width", "height", "valid")
_REMEDY = "restore params.json from FaceScape's archive, or remove the view"
_LAYOUT = "params.json and one <view>.jpg for each of its views, as FaceScape stores them"


@dataclass(frozen=True)
class CaptureView:
    """One photo of a capture.

    number: of the view; file: the photo, distorted by `lens`.
    camera: without batch axis, float64; world of the capture to the camera, millimetres.
    size: (height, width) of the photo.
    valid: the calibration can be relied on.
    """

    number: int
    file: Path
    camera: Camera
    lens: Lens
    size: tuple[int, int]
    valid: bool


def read_capture(folder: str | Path, millimetres: float = 1.0, need_photos: bool = True) -> list[CaptureView]:
    """The views of a capture in the order of their numbers, those that are not valid included.

    Args:
        folder: holds `params.json` and the photos.
        millimetres: length of the unit of the capture's world.
        need_photos: whether a valid view without its photo is an error.
    Raises:
        FormatError: the folder or `params.json` is missing or of another kind; a value of a view is missing,
            of another shape or no number; a rotation is none; a valid view has no photo; no view is valid.
        ValueError: `millimetres` is not positive.
    """
    if not millimetres > 0:
        raise ValueError(f"millimetres must be positive, not {millimetres}")
    folder = Path(folder)
    path = folder / PARAMETERS
    table = _read_table(folder)
    numbers = sorted({int(match[1]) for key in table if (match := re.fullmatch(r"([0-9]{1,6})_K", key))})
    if not numbers:
        raise FormatError(
            f"{path} describes no camera", "keys 0_K, 0_Rt, 0_distortion, …", _some(sorted(table)), _REMEDY
        )
    views = [_view(folder, table, number, millimetres) for number in numbers]
    if not any(view.valid for view in views):
        raise FormatError(
            f"{path}: no view is valid", "<view>_valid true at least once", "false throughout", _REMEDY
        )
    missing = [view.file.name for view in views if view.valid and not is_plain_file(view.file)]
    if missing and need_photos:
        raise FormatError(
            f"{folder} lacks photos of valid views: {_some(missing)}",
            _LAYOUT,
            f"{len(views) - len(missing)} of {len(views)} photos",
            "unpack the photos beside params.json",
        )
    return views


def write_capture_parameters(folder: str | Path, views: Sequence[CaptureView]) -> None:
    """Write `params.json` of these views, millimetres, atomically; the photos are `view.file` already.

    `_matches`, `_sn` and `_ori` get the values that say nothing: 0, "synthetic" and the file's name.
    """
    table: dict[str, Any] = {}
    for view in views:
        height, width = view.size
        camera, lens = view.camera, view.lens
        values = {
            "K": camera.intrinsics.tolist(),
            "Rt": camera.extrinsics.tolist(),
            "distortion": [lens.k1, lens.k2, lens.p1, lens.p2, lens.k3],
            "width": width,
            "height": height,
            "valid": view.valid,
            "matches": 0,
            "sn": "synthetic",
            "ori": view.file.name,
        }
        table.update({f"{view.number}_{name}": value for name, value in values.items()})
    write_json(Path(folder) / PARAMETERS, table)


def capture_folder(images: str | Path, person: str, expression: str) -> Path:
    """`<images>/<person>/<expression>`; FaceScape numbers people from 1, without leading zeros."""
    return Path(images) / person / expression


def capture_mesh_file(meshes: str | Path, person: str, expression: str) -> Path:
    """`<meshes>/<person>/<expression>.ply`."""
    return Path(meshes) / person / f"{expression}.ply"


def _read_table(folder: Path) -> Mapping[str, Any]:
    path = folder / PARAMETERS
    if not folder.is_dir():
        raise FormatError(f"{folder} is missing", f"a folder with {_LAYOUT}", "nothing", "correct the path")
    if not path.exists():
        below = sorted(found.parent.name for found in folder.glob(f"*/{PARAMETERS}"))
        found = f"captures one level down: {_some(below)}" if below else "no params.json"
        remedy = "give one capture: <images>/<person>/<expression>" if below else _REMEDY
        raise FormatError(f"{folder} is not a capture", _LAYOUT, found, remedy)
    return read_json_object(path, "FaceScape's params.json, a JSON object", _REMEDY)


def _view(folder: Path, table: Mapping[str, Any], number: int, millimetres: float) -> CaptureView:
    path = folder / PARAMETERS
    missing = [f"{number}_{field}" for field in _FIELDS if f"{number}_{field}" not in table]
    if missing:
        names = ", ".join(f"{number}_{field}" for field in _FIELDS)
        raise FormatError(f"{path} lacks {', '.join(missing)}", names, "the others of the view", _REMEDY)
    valid = table[f"{number}_valid"]
    if not isinstance(valid, bool):
        raise FormatError(f"{path}: {number}_valid", "true or false", shown(valid), _REMEDY)
    size = _whole(path, table, f"{number}_height"), _whole(path, table, f"{number}_width")
    file = folder / f"{number}.jpg"
    if not valid:  # FaceScape stores whatever its calibration left: nobody looks at it
        return CaptureView(number, file, Camera.at_origin((1.0, 1.0), (0.0, 0.0)), Lens(), size, False)
    intrinsics = _matrix(path, table, f"{number}_K", ((3, 3), (4, 4)))[:3, :3]
    extrinsics = _matrix(path, table, f"{number}_Rt", ((3, 4), (4, 4)))[:3]
    distortion = _matrix(path, table, f"{number}_distortion", ((5,), (1, 5), (5, 1))).ravel()
    _check_intrinsics(path, f"{number}_K", intrinsics)
    _check_rotation(path, f"{number}_Rt", extrinsics[:, :3])
    camera = Camera(
        torch.from_numpy(extrinsics[:, :3].copy()),
        torch.from_numpy(extrinsics[:, 3] * millimetres),
        torch.from_numpy(intrinsics.copy()),
    )
    return CaptureView(number, file, camera, Lens(*distortion.tolist()), size, True)


def _matrix(
    path: Path, table: Mapping[str, Any], key: str, shapes: Sequence[tuple[int, ...]]
) -> NDArray[np.float64]:
    expected = " or ".join("x".join(map(str, shape)) for shape in shapes) + " finite numbers"
    try:
        values = np.array(table[key], dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise FormatError(f"{path}: {key}", expected, shown(table[key]), _REMEDY) from error
    if values.shape not in shapes:
        found = "x".join(map(str, values.shape)) or "one number"
        raise FormatError(f"{path}: {key} is of another shape", expected, found, _REMEDY)
    if not np.isfinite(values).all():
        raise FormatError(f"{path}: {key} is not finite", expected, str(values.tolist())[:80], _REMEDY)
    return values


def _check_intrinsics(path: Path, key: str, matrix: NDArray[np.float64]) -> None:
    lower = [matrix[1, 0], matrix[2, 0], matrix[2, 1], matrix[2, 2] - 1]
    if min(matrix[0, 0], matrix[1, 1]) <= 0 or np.abs(lower).max() > 1e-9:
        expected = "fx, skew, cx / 0, fy, cy / 0, 0, 1 with positive fx and fy"
        raise FormatError(f"{path}: {key} is no intrinsics matrix", expected, str(matrix.tolist()), _REMEDY)


def _check_rotation(path: Path, key: str, matrix: NDArray[np.float64]) -> None:
    error = float(np.abs(matrix @ matrix.T - np.eye(3)).max())
    if error > 1e-3 or np.linalg.det(matrix) < 0:
        found = "a reflection" if error <= 1e-3 else f"rows that miss orthonormality by {error:.3g}"
        raise FormatError(f"{path}: {key} holds no rotation", "a rotation matrix", found, _REMEDY)


def _whole(path: Path, table: Mapping[str, Any], key: str) -> int:
    try:
        return pixels_of(key, table[key])
    except BadViewError as error:
        raise FormatError(f"{path}: {key}", "a whole number of pixels", shown(table[key]), _REMEDY) from error


def _some(names: Sequence[str]) -> str:
    return (", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")) or "nothing"
