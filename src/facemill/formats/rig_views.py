"""One photo of a capture and its camera, whatever file they come from, and the checks of all readers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from facemill.geometry.camera import Camera
from facemill.geometry.lens import Lens
from facemill.runtime.inputs import shown

LONGEST_NAME = 180  # bytes
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff{}/\\]")

OK = "ok"
BAD_PARAMETERS = "bad_parameters"
MIRRORED = "mirrored"
MOST_PIXELS = 1_000_000


@dataclass(frozen=True)
class RigView:
    """One photo of a capture and what is known of its camera, whatever file it came from.

    name: of the view. file: the photo, distorted by `lens`, or None when the capture has none.
    camera: without batch axis, float64, world to camera, in units of the world; None unless `status` is ok.
    size: (height, width) of the photo that the intrinsics belong to; None: not said.
    status: `ok`, or why the view cannot be used; reason: a sentence.
    as_stored: the intrinsics are known to belong to the pixels as they are stored, before EXIF's orientation.
    """

    name: str
    file: Path | None
    camera: Camera | None = None
    lens: Lens = field(default_factory=Lens)
    size: tuple[int, int] | None = None
    status: str = OK
    reason: str = ""
    focal_source: str = "given"
    as_stored: bool = False


@dataclass(frozen=True)
class Rig:
    """The views of a capture.

    unit_mm: millimetres per unit of its world, or None: the file does not say.
    status: `ok`, or why the whole capture cannot go on; reason: a sentence.
    """

    views: tuple[RigView, ...]
    unit_mm: float | None = None
    status: str = OK
    reason: str = ""


class BadViewError(Exception):
    """One view cannot be used; the status and reason say why."""

    def __init__(self, status: str, reason: str) -> None:
        self.status, self.reason = status, reason
        super().__init__(f"{status}: {reason}")


def checked_camera(intrinsics: Any, extrinsics: Any) -> Camera:
    """The camera of K (3x3, or 4x4 as FaceScape's description says) and Rt (3x4 or 4x4), world to camera.

    Raises:
        BadViewError: `bad_parameters`: another shape, not finite, no intrinsics matrix, no rotation;
            `mirrored`: a negative focal length or a reflection, which a mirrored picture leads to.
    """
    matrix = numbers("intrinsics", intrinsics, ((3, 3), (4, 4)))[:3, :3]
    pose = numbers("extrinsics", extrinsics, ((3, 4), (4, 4)))[:3]
    if matrix[0, 0] * matrix[1, 1] < 0:
        raise BadViewError(
            MIRRORED,
            f"one focal length is negative ({matrix[0, 0]:g}, {matrix[1, 1]:g}): a mirrored picture; mirror "
            "the photo back and make the focal length positive",
        )
    lower = [matrix[1, 0], matrix[2, 0], matrix[2, 1], matrix[2, 2] - 1]
    if min(matrix[0, 0], matrix[1, 1]) <= 0 or np.abs(lower).max() > 1e-9:
        raise BadViewError(
            BAD_PARAMETERS,
            f"intrinsics are {matrix.tolist()}; expected [[fx, skew, cx], [0, fy, cy], [0, 0, 1]] with "
            "positive fx and fy",
        )
    error = float(np.abs(pose[:, :3] @ pose[:, :3].T - np.eye(3)).max())
    if error > 1e-3:
        raise BadViewError(
            BAD_PARAMETERS, f"extrinsics hold no rotation: its rows miss orthonormality by {error:.3g}"
        )
    if np.linalg.det(pose[:, :3]) < 0:
        raise BadViewError(
            MIRRORED, "the rotation of the extrinsics is a reflection: flip one axis, or the mirrored photo"
        )
    return Camera(
        torch.from_numpy(pose[:, :3].copy()),
        torch.from_numpy(pose[:, 3].copy()),
        torch.from_numpy(matrix.copy()),
    )


def view_name(file: str) -> str:
    """What a view is called whose photo is called so: the name without folders and suffix, safe as a name.

    >>> view_name("images/left 1.jpg"), view_name("../.."), view_name("a\\0{b}")
    ('left 1', '__', 'a__b_')
    """
    stem = _UNSAFE.sub("_", Path(file.replace("\0", "_")).stem)
    name = stem.encode("utf-8", "replace")[:LONGEST_NAME].decode("utf-8", "ignore")
    return re.sub(r"^\.+", lambda dots: "_" * len(dots[0]), name) or "_"


def numbers(name: str, value: Any, shapes: Sequence[tuple[int, ...]]) -> NDArray[np.float64]:
    """An array of one of the shapes.

    Raises:
        BadViewError: `bad_parameters`.
    """
    expected = " or ".join("x".join(map(str, shape)) for shape in shapes) + " finite numbers"
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise BadViewError(BAD_PARAMETERS, f"{name}: {shown(value)}; expected {expected}") from None
    if array.shape not in shapes:
        found = "x".join(map(str, array.shape)) or "one number"
        raise BadViewError(BAD_PARAMETERS, f"{name} is {found}; expected {expected}")
    if not np.isfinite(array).all():
        raise BadViewError(BAD_PARAMETERS, f"{name} is not finite; expected {expected}")
    return array


def pixels_of(name: str, value: Any) -> int:
    """A number of pixels along a side, at most `MOST_PIXELS`.

    Raises:
        BadViewError: `bad_parameters`.
    """
    whole = type(value) in (int, float) and 1 <= value <= MOST_PIXELS and value == int(value)
    if not whole:
        raise BadViewError(BAD_PARAMETERS, f"{name} is {shown(value)}; expected a whole number of pixels")
    return int(value)


def lens_numbers(value: Any) -> list[float]:
    """k1 k2 p1 p2 k3 of a list of five, or of four (k3 is zero then).

    Raises:
        BadViewError: `bad_parameters`.
    """
    found = numbers("distortion", value, ((5,), (4,), (1, 5), (5, 1))).ravel().tolist()
    return [*found, 0.0][:5]
