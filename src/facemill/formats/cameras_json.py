"""Cameras of a capture in a JSON file that people write by hand, or `calibrate_capture` for them.

{"unit_mm": 1.0,
 "views": [{"file": "a.jpg", "width": 864, "height": 1296,
            "intrinsics": [[fx, skew, cx], [0, fy, cy], [0, 0, 1]],
            "extrinsics": [[3x4, world to camera, OpenCV axes]],
            "distortion": [k1, k2, p1, p2, k3]}]}

`file` is relative to the JSON's folder, or to its folder `images`. `width` and `height` are those of the
photo that the intrinsics belong to. `unit_mm` (millimetres per unit of the world; absent or null: unknown)
and `distortion` (absent: none) may be left out. Pixel (0, 0) is the centre of the top-left pixel, as in
OpenCV. A view, and the whole file, may carry `status` and `reason`: anything but "ok" means: do not use it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facemill.formats.rig_views import (
    BAD_PARAMETERS,
    OK,
    BadViewError,
    Rig,
    RigView,
    checked_camera,
    lens_numbers,
    pixels_of,
    view_name,
)
from facemill.geometry.lens import Lens
from facemill.runtime.errors import FormatError
from facemill.runtime.files import write_json
from facemill.runtime.inputs import is_plain_file, leads_out, read_json_object, shown

CAMERAS = "cameras.json"

_VIEW = '{"file", "width", "height", "intrinsics" 3x3, "extrinsics" 3x4}'
_REMEDY = "see docs/prepare_capture.md for the form of cameras.json"


def read_cameras(path: str | Path, photos: str | Path | None = None) -> Rig:
    """Read `cameras.json`; a view that is not whole gets a status and a reason, the others stay.

    Args:
        photos: the folder that `file` is relative to; None: that of the JSON.
    Raises:
        FormatError: the file cannot be read, has no views, or its `unit_mm` is not positive.
    """
    path = Path(path)
    content = read_json_object(path, "a JSON object", _REMEDY)
    views = content.get("views")
    if not isinstance(views, list) or not (views or "status" in content):
        raise FormatError(f"{path} has no views", f'"views": a list of {_VIEW}', shown(views), _REMEDY)
    unit = content.get("unit_mm")
    if unit is not None and not (type(unit) in (int, float) and 0 < unit < float("inf")):
        raise FormatError(f"{path}: unit_mm", "a positive number, or null", shown(unit), _REMEDY)
    folder = path.parent if photos is None else Path(photos)
    found = tuple(_view(folder, values, place) for place, values in enumerate(views))
    return Rig(found, unit, _word(content, "status", OK), _word(content, "reason", ""))


def write_cameras(path: str | Path, rig: Rig, photos: str | Path) -> None:
    """Write `cameras.json` atomically; views without a camera keep their status and reason.

    `photos` is the folder that the photos are in: the file works there, too.
    """
    views = [_plain(view, Path(photos)) for view in rig.views]
    write_json(path, {"unit_mm": rig.unit_mm, "status": rig.status, "reason": rig.reason, "views": views})


def _view(folder: Path, values: Any, place: int) -> RigView:
    name = values.get("file") if isinstance(values, dict) else None
    if not isinstance(name, str) or not name:
        return RigView(
            f"view{place}",
            None,
            status=BAD_PARAMETERS,
            reason=f"views[{place}] has no file; expected {_VIEW}",
        )
    stem = view_name(name)
    if leads_out(name):
        reason = f"{CAMERAS}: the file {shown(name)} is not below the folder of the capture"
        return RigView(stem, None, status=BAD_PARAMETERS, reason=reason)
    file = next((found for found in (folder / name, folder / "images" / name) if is_plain_file(found)), None)
    status = _word(values, "status", OK)
    if status != OK:
        return RigView(stem, file, status=status, reason=_word(values, "reason", ""))
    missing = [key for key in ("intrinsics", "extrinsics") if key not in values]
    try:
        if missing:
            raise BadViewError(
                BAD_PARAMETERS, f"{CAMERAS}: {name} lacks {', '.join(missing)}; expected {_VIEW}"
            )
        camera = checked_camera(values["intrinsics"], values["extrinsics"])
        lens = Lens(*lens_numbers(values.get("distortion", [0.0] * 5)))
        size = None
        if "width" in values or "height" in values:
            size = pixels_of("height", values.get("height")), pixels_of("width", values.get("width"))
    except BadViewError as error:
        return RigView(stem, file, status=error.status, reason=error.reason)
    return RigView(stem, file, camera, lens, size, focal_source=_word(values, "focal_source", "given"))


def _word(values: Mapping[str, Any], key: str, default: str) -> str:
    """A text of the file; of anything else so much as fits into a table."""
    value = values.get(key, default)
    return value if isinstance(value, str) else shown(value)


def _plain(view: RigView, photos: Path) -> dict[str, Any]:
    file = view.name if view.file is None else os.path.relpath(view.file, photos)
    if view.camera is None:
        return {"file": file, "status": view.status, "reason": view.reason}
    lens, camera = view.lens, view.camera
    plain: dict[str, Any] = {
        "file": file,
        "intrinsics": camera.intrinsics.tolist(),
        "extrinsics": camera.extrinsics.tolist(),
        "distortion": [lens.k1, lens.k2, lens.p1, lens.p2, lens.k3],
        "focal_source": view.focal_source,
        "status": view.status,
        "reason": view.reason,
    }
    if view.size is not None:
        plain |= {"height": view.size[0], "width": view.size[1]}
    return plain
