"""Prepared captures: what `prepare_capture` hands to every later rule, `facemill-capture-1`.

<capture>/prepare_capture/capture.json, views/<view>.png      cameras as JSON beside the undistorted pictures

The JSON object holds `format`, `status`, `reason`, `unit_mm`, `unit_source`, `unit_deviation` and `views`, a
list of objects with `name`, `file`, `size` [height, width], `rotation` 3x3, `translation` 3, `intrinsics`
3x3, `gains` 3, `status`, `reason`, `focal_source`. Cameras are pinholes with OpenCV axes, world to camera.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from facemill.geometry.camera import Camera
from facemill.runtime.files import write_json
from facemill.runtime.inputs import decoding, leads_out, read_json_object, shown

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
    keys = ("status", "reason", "unit_mm", "unit_source", "unit_deviation", "views")
    content = read_json_object(path, "a prepared capture", _REMEDY, keys, FORMAT)
    with decoding(path, "a whole prepared capture", _REMEDY):
        return Capture(
            _text(content, "status"),
            _text(content, "reason"),
            None if content["unit_mm"] is None else _number(content, "unit_mm"),
            _text(content, "unit_source"),
            _number(content, "unit_deviation"),
            tuple(_view(view) for view in content["views"]),
        )


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
    red, green, blue = _array(values, "gains", (3,)).tolist()
    shapes = {"rotation": (3, 3), "translation": (3,), "intrinsics": (3, 3)}
    parts = (_array(values, name, shape) for name, shape in shapes.items())
    name, file = _text(values, "name"), _text(values, "file")
    if file and leads_out(file):
        raise ValueError(f"the file {shown(file)} of a view is not below the folder of the capture")
    return PreparedView(
        name,
        file,
        Camera(*parts),
        (int(height), int(width)),
        (red, green, blue),
        _text(values, "status"),
        _text(values, "reason"),
        _text(values, "focal_source"),
    )


def _text(values: Mapping[str, Any], key: str) -> str:
    if not isinstance(values[key], str):
        raise ValueError(f"{key} is {shown(values[key])}, not a text")
    return str(values[key])


def _number(values: Mapping[str, Any], key: str) -> float:
    value = float(values[key])
    if not math.isfinite(value):
        raise ValueError(f"{key} is {value}, not a finite number")
    return value


def _array(values: Mapping[str, Any], key: str, shape: tuple[int, ...]) -> torch.Tensor:
    array = torch.tensor(values[key], dtype=torch.float64)
    if array.shape != shape or not bool(torch.isfinite(array).all()):
        raise ValueError(f"{key} is {shown(values[key])}, not finite numbers of shape {shape}")
    return array
