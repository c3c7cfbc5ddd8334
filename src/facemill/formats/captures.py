"""Prepared captures: what `prepare_capture` hands to every later rule, `facemill-capture-1`.

<capture>/prepare_capture/capture.json, views/<view>.png      cameras as JSON beside the undistorted pictures

The JSON object holds `format`, `status`, `reason`, `unit_mm`, `unit_source`, `unit_deviation` and `views`, a
list of objects with `name`, `file`, `size` [height, width], `rotation` 3x3, `translation` 3, `intrinsics`
3x3, `gains` 3, `status`, `reason`, `focal_source`. Cameras are pinholes with OpenCV axes, world to camera.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from facemill.geometry.camera import Camera
from facemill.runtime.errors import FormatError
from facemill.runtime.files import write_json

FORMAT = "facemill-capture-1"
OK = "ok"
NO_GAINS = (1.0, 1.0, 1.0)
UNKNOWN = "unknown"

_REMEDY = "make it again with the rule prepare_capture"


@dataclass(frozen=True)
class PreparedView:
    """One view of a prepared capture; unless `status` is `ok`, only `name`, `status` and `reason` count.

    name: unique within the capture. file: of the undistorted, upright picture, relative to the JSON.
    size: (height, width) of that picture. camera: pinhole of that picture, float64, without batch axis, world
    of the capture to the camera; millimetres, or the world's own unit where that is unknown.
    gains: of red, green and blue: the photo times `gains` matches the other views.
    status: `ok`, or why the view is not used; reason: a sentence.
    focal_source: where the focal length comes from: `given`, `exif`, `guess`, or `calibrated`.
    """

    name: str
    file: str
    camera: Camera
    size: tuple[int, int]
    gains: tuple[float, float, float] = NO_GAINS
    status: str = OK
    reason: str = ""
    focal_source: str = "given"


@dataclass(frozen=True)
class Capture:
    """A capture as later rules see it.

    status: `ok`, or why the capture cannot go on; reason: a sentence for its owner.
    unit_mm: millimetres per unit of the world as it was given (the cameras here are in millimetres already),
        or None: the unit is unknown, and the cameras are in the world's own.
    unit_source: `given`, `unit_mm`, `scales` (Rt_scale_dict.json) or `unknown`.
    unit_deviation: one standard deviation of `unit_mm`, relative to it; 0 for a unit that was given.
    views: all, those that are not used included.
    """

    status: str
    reason: str
    unit_mm: float | None
    unit_source: str
    unit_deviation: float
    views: tuple[PreparedView, ...]

    @property
    def used(self) -> tuple[PreparedView, ...]:
        """The views that have a picture and a camera."""
        return tuple(view for view in self.views if view.status == OK)


def dropped_view(name: str, status: str, reason: str) -> PreparedView:
    """A view that is not used."""
    return PreparedView(
        name, "", Camera.at_origin((1.0, 1.0), (0.0, 0.0)), (0, 0), NO_GAINS, status, reason, ""
    )


def refused_capture(status: str, reason: str, views: tuple[PreparedView, ...] = ()) -> Capture:
    """A capture that cannot go on."""
    return Capture(status, reason, None, UNKNOWN, 0.0, views)


def write_capture(path: str | Path, capture: Capture) -> None:
    """Write a capture as JSON, atomically; numbers are written so that they are read back exactly."""
    write_json(
        path,
        {
            "format": FORMAT,
            "status": capture.status,
            "reason": capture.reason,
            "unit_mm": capture.unit_mm,
            "unit_source": capture.unit_source,
            "unit_deviation": capture.unit_deviation,
            "views": [_plain(view) for view in capture.views],
        },
    )


def read_capture_file(path: str | Path) -> Capture:
    """Read what `write_capture` wrote.

    Raises:
        FormatError: the file is missing, is not whole, or is of another format.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise FormatError(
            f"{path} cannot be read", f"JSON of format {FORMAT}", str(error), _REMEDY
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format", "no format") if isinstance(content, dict) else type(content).__name__
        raise FormatError(f"{path} is no prepared capture", f"format {FORMAT}", str(found), _REMEDY)
    try:
        return Capture(
            content["status"],
            content["reason"],
            content["unit_mm"],
            content["unit_source"],
            content["unit_deviation"],
            tuple(_view(view) for view in content["views"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{path} is not whole", "all keys of the format", repr(error), _REMEDY) from error


def picture_file(path: str | Path, view: PreparedView) -> Path:
    """Where the picture of a view lies; `path` is that of the capture's JSON."""
    return Path(path).parent / view.file


def _plain(view: PreparedView) -> dict[str, Any]:
    return {
        "name": view.name,
        "file": view.file,
        "size": list(view.size),
        "rotation": view.camera.rotation.tolist(),
        "translation": view.camera.translation.tolist(),
        "intrinsics": view.camera.intrinsics.tolist(),
        "gains": list(view.gains),
        "status": view.status,
        "reason": view.reason,
        "focal_source": view.focal_source,
    }


def _view(values: Mapping[str, Any]) -> PreparedView:
    height, width = values["size"]
    red, green, blue = values["gains"]
    parts = (
        torch.tensor(values[name], dtype=torch.float64) for name in ("rotation", "translation", "intrinsics")
    )
    return PreparedView(
        values["name"],
        values["file"],
        Camera(*parts),
        (int(height), int(width)),
        (float(red), float(green), float(blue)),
        values["status"],
        values["reason"],
        values["focal_source"],
    )
