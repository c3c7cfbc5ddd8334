"""COLMAP's sparse models: cameras and images, as text or binary; its points are not needed here.

cameras.txt      CAMERA_ID MODEL WIDTH HEIGHT PARAMETERS…
images.txt       two lines an image: IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME, and its points
cameras.bin      little-endian: uint64 count; each: uint32 id, int32 model, uint64 width, height, doubles
images.bin       uint64 count; each: uint32 id, 7 doubles, uint32 camera, name ending with a zero byte,
                 uint64 count of points, each two doubles and an int64

The pose is world to camera with OpenCV axes. COLMAP puts the pixel (0, 0)'s centre at (0.5, 0.5), we at
(0, 0): principal points are half a pixel less here. Its pixels are those of the file, whatever EXIF says.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facemill.formats.rig_views import (
    BAD_PARAMETERS,
    BadViewError,
    RigView,
    checked_camera,
    pixels_of,
    view_name,
)
from facemill.geometry.lens import Lens
from facemill.runtime.errors import FormatError
from facemill.runtime.inputs import is_plain_file, leads_out, read_content, read_text, shown

PHOTO_FOLDERS = ("images", ".")
MODELS = {
    0: ("SIMPLE_PINHOLE", 3),
    1: ("PINHOLE", 4),
    2: ("SIMPLE_RADIAL", 4),
    3: ("RADIAL", 5),
    4: ("OPENCV", 8),
    5: ("OPENCV_FISHEYE", 8),
    6: ("FULL_OPENCV", 12),
    7: ("FOV", 5),
    8: ("SIMPLE_RADIAL_FISHEYE", 4),
    9: ("RADIAL_FISHEYE", 5),
    10: ("THIN_PRISM_FISHEYE", 12),
}
"""COLMAP's camera models by number: name and number of parameters."""

_REMEDY = "export the model again (colmap model_converter), with one of the models PINHOLE, RADIAL and OPENCV"


@dataclass(frozen=True)
class ColmapCamera:
    """model: name; size: (height, width) of its photos; parameters: in COLMAP's order for the model."""

    model: str
    size: tuple[int, int]
    parameters: tuple[float, ...]


@dataclass(frozen=True)
class ColmapImage:
    """name: of the photo; quaternion: w x y z, camera from world; translation: 3; camera: its number."""

    name: str
    quaternion: tuple[float, ...]
    translation: tuple[float, ...]
    camera: int


def read_colmap(model: str | Path, folder: str | Path) -> list[RigView]:
    """The images of a sparse model in the order of their names; views are named after files without suffix.

    Args:
        model: folder with `cameras` and `images`, `.bin` or `.txt`. folder: of the capture; the photos are in
            its folder `images`, or in itself.
    Raises:
        FormatError: a file is missing, is cut off or of another form, or holds no image.
    """
    model, folder = Path(model), Path(folder)
    binary = (model / "cameras.bin").exists()
    cameras = _binary_cameras(model / "cameras.bin") if binary else _text_cameras(model / "cameras.txt")
    images = _binary_images(model / "images.bin") if binary else _text_images(model / "images.txt")
    if not images:
        raise FormatError(f"{model} has no images", "registered images", "none", _REMEDY)
    return [_view(image, cameras, folder) for image in sorted(images, key=lambda image: image.name)]


def matrix_from_quaternion(quaternion: tuple[float, ...]) -> NDArray[np.float64]:
    """Rotation matrix (3, 3) of the quaternion w x y z, of any length but zero.

    >>> matrix_from_quaternion((2.0, 0.0, 0.0, 2.0)).round(9) + 0.0       # a quarter turn about z
    array([[ 0., -1.,  0.],
           [ 1.,  0.,  0.],
           [ 0.,  0.,  1.]])
    """
    length = float(np.linalg.norm(quaternion))
    if not 0 < length < np.inf:
        raise BadViewError(BAD_PARAMETERS, f"the quaternion {quaternion} is no rotation")
    w, x, y, z = (value / length for value in quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def intrinsics_of(camera: ColmapCamera) -> tuple[NDArray[np.float64], Lens]:
    """K with our pixel centres, and the lens.

    Raises:
        BadViewError: the model is no pinhole with the lens of OpenCV's five terms (a fisheye, say).
    """
    values = camera.parameters
    if not np.isfinite(values).all():
        raise BadViewError(BAD_PARAMETERS, f"the parameters {values} are not finite; {_REMEDY}")
    lens = Lens()
    if camera.model in ("SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL"):
        fx, cx, cy = values[:3]
        fy = fx
        lens = Lens(*values[3:])
    elif camera.model in ("PINHOLE", "OPENCV", "FULL_OPENCV"):
        fx, fy, cx, cy = values[:4]
        if any(values[9:]):
            raise BadViewError(
                BAD_PARAMETERS, f"FULL_OPENCV with k4, k5, k6 = {values[9:]} has no such lens here; {_REMEDY}"
            )
        lens = Lens(*values[4:9])
    else:
        raise BadViewError(
            BAD_PARAMETERS, f"COLMAP's camera model {camera.model} is not known here; {_REMEDY}"
        )
    return np.array([[fx, 0.0, cx - 0.5], [0.0, fy, cy - 0.5], [0.0, 0.0, 1.0]]), lens


def _view(image: ColmapImage, cameras: dict[int, ColmapCamera], folder: Path) -> RigView:
    name = view_name(image.name)
    file = None
    if not leads_out(image.name):
        places = (folder / place / image.name for place in PHOTO_FOLDERS)
        file = next((place for place in places if is_plain_file(place)), None)
    try:
        if leads_out(image.name):
            raise BadViewError(
                BAD_PARAMETERS, f"{shown(image.name)} is not below the folder of the capture; {_REMEDY}"
            )
        if image.camera not in cameras:
            raise BadViewError(BAD_PARAMETERS, f"{image.name} has camera {image.camera}, which is not listed")
        found = cameras[image.camera]
        size = pixels_of("height", found.size[0]), pixels_of("width", found.size[1])
        intrinsics, lens = intrinsics_of(found)
        pose = np.column_stack([matrix_from_quaternion(image.quaternion), image.translation])
        camera = checked_camera(intrinsics, pose)
    except BadViewError as error:
        return RigView(name, file, status=error.status, reason=error.reason)
    return RigView(name, file, camera, lens, size, focal_source="calibrated", as_stored=True)


def _text_lines(path: Path) -> list[str]:
    text = read_text(path, "COLMAP's text", _REMEDY)
    return [line for line in text.splitlines() if not line.startswith("#")]


def _text_cameras(path: Path) -> dict[int, ColmapCamera]:
    cameras = {}
    for line in filter(str.strip, _text_lines(path)):
        words = line.split()
        try:
            size = int(words[3]), int(words[2])
            parameters = tuple(map(float, words[4:]))
            counts = dict(MODELS.values())
            if len(parameters) != counts.get(words[1], len(parameters)):
                raise ValueError(f"{words[1]} has {counts[words[1]]} parameters, not {len(parameters)}")
            cameras[int(words[0])] = ColmapCamera(words[1], size, parameters)
        except (ValueError, IndexError) as error:
            raise _wrong_line(path, "CAMERA_ID MODEL WIDTH HEIGHT PARAMETERS", line, error) from error
    return cameras


def _text_images(path: Path) -> list[ColmapImage]:
    lines = _text_lines(path)
    while lines and not lines[-1].strip():
        lines.pop()
    images = []
    for line in lines[::2]:  # every other line lists points, and is empty for an image without any
        words = line.split(maxsplit=9)
        try:
            pose = tuple(map(float, words[1:8]))
            images.append(ColmapImage(words[9].strip(), pose[:4], pose[4:], int(words[8])))
        except (ValueError, IndexError) as error:
            raise _wrong_line(path, "IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME", line, error) from error
    return images


def _wrong_line(path: Path, expected: str, line: str, error: Exception) -> FormatError:
    return FormatError(f"{path} is of another form ({error})", expected, line[:100], _REMEDY)


class _Bytes:
    """A binary file read from front to back."""

    def __init__(self, path: Path) -> None:
        self.path, self.at = path, 0
        self.content = read_content(path, "COLMAP's binary", _REMEDY)

    def take(self, form: str) -> tuple:
        """The next values of a `struct` format, little-endian."""
        at = self.at
        self.skip(struct.calcsize("<" + form))
        return struct.unpack_from("<" + form, self.content, at)

    def skip(self, size: int) -> None:
        """Pass over so many bytes."""
        if self.at + size > len(self.content):
            raise FormatError(
                f"{self.path} is cut off", "COLMAP's binary", f"{len(self.content)} bytes", _REMEDY
            )
        self.at += size

    def text(self) -> str:
        """A name up to its zero byte."""
        end = self.content.find(b"\0", self.at)
        if end < 0:
            raise FormatError(f"{self.path} is cut off", "a name and a zero byte", "no zero byte", _REMEDY)
        name = self.content[self.at : end].decode("utf-8", "surrogateescape")
        self.at = end + 1
        return name


def _binary_cameras(path: Path) -> dict[int, ColmapCamera]:
    data = _Bytes(path)
    cameras = {}
    for _ in range(data.take("Q")[0]):
        number, model, width, height = data.take("IiQQ")
        if model not in MODELS:
            known = ", ".join(name for name, _ in MODELS.values())
            raise FormatError(f"{path}: camera model {model}", known, "another number", _REMEDY)
        name, count = MODELS[model]
        cameras[number] = ColmapCamera(name, (height, width), data.take(f"{count}d"))
    return cameras


def _binary_images(path: Path) -> list[ColmapImage]:
    return list(_read_images(_Bytes(path)))


def _read_images(data: _Bytes) -> Iterator[ColmapImage]:
    for _ in range(data.take("Q")[0]):
        pose = data.take("I7d")[1:]
        (camera,) = data.take("I")
        name = data.text()
        (points,) = data.take("Q")
        data.skip(24 * points)
        yield ColmapImage(name, pose[:4], pose[4:], camera)
