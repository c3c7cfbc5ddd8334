"""Where the camera stands, how the head is turned, and what part of the picture the face fills."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from facemill.geometry.camera import Camera
from facemill.geometry.five_points import place_standard_points
from facemill.geometry.image import resizing
from facemill.geometry.rotation import matrix_from_euler_deep3d

CROP_SIZE = 224
CROP_SCALE = 102.0  # crop pixels per decimetre of the standard points (Deep3DFaceReconstruction)
FACE_HEIGHT = 190.0  # millimetres from chin to the top of the forehead, for framing
_FULL_FRAME = 36.0  # millimetres: width of the film that focal lengths are quoted for
_ASPECTS = ((3, 4), (2, 3), (1, 1), (4, 3), (4, 5), (9, 16))
_ASPECT_SHARES = (0.34, 0.18, 0.16, 0.14, 0.10, 0.08)
_VIEW_STEPS = (15.0, 30.0)  # degrees between neighbouring views of a sitting
_SHORTEST, _LONGEST = 22.0, 200.0  # focal lengths of cameras that people have


@dataclass(frozen=True)
class View:
    """One camera and the pose of the head before it.

    Attributes:
        camera: takes the head frame to pixels; float64.
        size: (height, width) of the picture.
        yaw, pitch, roll: degrees, signs as in `geometry.rotation.head_angles_degrees`.
        distance: from the pinhole to the origin of the head, millimetres.
        focal: as quoted for 36-mm film, millimetres.
    """

    camera: Camera
    size: tuple[int, int]
    yaw: float
    pitch: float
    roll: float
    distance: float
    focal: float

    @property
    def posed_from_head(self) -> NDArray[np.float64]:
        """Rotation (3, 3) to the posed head frame: x to the image right, y up, z towards the camera."""
        return np.diag([1.0, -1.0, -1.0]) @ self.camera.rotation.numpy()

    def scaled(self, factor: float) -> float:
        """A length that is `factor` pixels in the 224 crop, in pixels of this picture."""
        pixels_per_mm = float(self.camera.intrinsics[0, 0]) / self.distance
        return factor * pixels_per_mm * 100 / CROP_SCALE


def random_angles(
    random: np.random.Generator,
    yaw_deviation: float,
    yaw_limit: float,
    pitch_deviation: float,
    roll_deviation: float,
) -> tuple[float, float, float]:
    """Yaw, pitch and roll in degrees: normal, yaw cut at its limit by drawing again."""
    yaw = random.normal(0, yaw_deviation)
    while abs(yaw) > yaw_limit:
        yaw = random.normal(0, yaw_deviation)
    pitch = np.clip(random.normal(0, pitch_deviation), -40, 40)
    roll = np.clip(random.normal(0, roll_deviation), -40, 40)
    return float(yaw), float(pitch), float(roll)


def random_portrait(
    random: np.random.Generator,
    angles: tuple[float, float, float],
    size: int,
    nearest: float,
    farthest: float,
) -> View:
    """A photograph that somebody takes: longer side `size`, the face at a random place and size in it.

    Args:
        angles: yaw, pitch, roll; degrees.
        nearest, farthest: limits of the distance, millimetres.
    """
    aspect = _ASPECTS[int(random.choice(len(_ASPECTS), p=_ASPECT_SHARES))]
    height, width = (round(size * side / max(aspect)) for side in (aspect[1], aspect[0]))
    # The face spans this share of the shorter side; the focal length follows, if such lenses exist.
    share = float(np.exp(random.uniform(math.log(0.28), math.log(0.72))))
    distance = float(np.exp(random.uniform(math.log(nearest), math.log(farthest))))
    focal_pixels = share * min(height, width) * distance / FACE_HEIGHT
    focal = focal_pixels * _FULL_FRAME / max(height, width)
    possible = float(np.clip(focal, _SHORTEST, _LONGEST))
    # An impossible lens is replaced by standing elsewhere: the face keeps its size in the picture.
    distance = float(np.clip(distance * possible / focal, nearest, farthest))
    focal_pixels = possible * max(height, width) / _FULL_FRAME
    room = 0.5 * np.array([width, height]) - 0.55 * focal_pixels * FACE_HEIGHT / distance
    drift = np.clip(
        random.normal(0, [0.12 * width, 0.08 * height]), -np.maximum(room, 0), np.maximum(room, 0)
    )
    return place_camera(angles, distance, focal_pixels, (height, width), (float(drift[0]), float(drift[1])))


def yaws_of_views(random: np.random.Generator, yaw: float, count: int, limit: float) -> NDArray[np.float64]:
    """Turns (count,), ascending, degrees, under which a camera sees a sitting head while it moves around it.

    Equal steps, 15 to 30 degrees drawn once, less where 2 `limit` have no room for them; their middle is
    `yaw`, moved as far as `limit` asks.
    """
    step = min(float(random.uniform(*_VIEW_STEPS)), 2 * limit / max(count - 1, 1))
    room = limit - step * (count - 1) / 2
    return np.clip(yaw, -room, room) + step * (np.arange(count) - (count - 1) / 2)


def turned_view(view: View, yaw: float) -> View:
    """The same camera at the same distance, moved around the head until its turn is `yaw` degrees."""
    angles = torch.deg2rad(torch.tensor([view.pitch, yaw, view.roll], dtype=torch.float64))
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
    camera = replace(view.camera, rotation=flip @ matrix_from_euler_deep3d(angles))
    return replace(view, camera=camera, yaw=yaw)


def place_camera(
    angles: tuple[float, float, float],
    distance: float,
    focal_pixels: float,
    size: tuple[int, int],
    offset: tuple[float, float] = (0.0, 0.0),
) -> View:
    """The view in which the origin of the head lies `offset` pixels from the centre of the picture.

    Args:
        angles: yaw, pitch, roll; degrees.
        distance: of the origin of the head from the pinhole, millimetres.
        focal_pixels: focal length in pixels.
        size: (height, width).
        offset: to the right and down.

    >>> view = place_camera((0, 0, 0), 1000.0, 1000.0, (101, 201), (10.0, -5.0))
    >>> from facemill.geometry.camera import project
    >>> project(torch.zeros(1, 3, dtype=torch.float64), view.camera).pixels.round(decimals=9)
    tensor([[110.,  45.]], dtype=torch.float64)
    """
    yaw, pitch, roll = angles
    radians = torch.deg2rad(torch.tensor([pitch, yaw, roll], dtype=torch.float64))
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
    ray = np.array([offset[0] / focal_pixels, offset[1] / focal_pixels, 1.0])
    place = torch.from_numpy(ray / np.linalg.norm(ray) * distance)
    height, width = size
    intrinsics = torch.tensor(
        [[focal_pixels, 0, (width - 1) / 2], [0, focal_pixels, (height - 1) / 2], [0, 0, 1]],
        dtype=torch.float64,
    )
    camera = Camera(flip @ matrix_from_euler_deep3d(radians), place, intrinsics)
    return View(camera, size, yaw, pitch, roll, distance, focal_pixels * _FULL_FRAME / max(size))


def crop_view(view: View, points: NDArray, size: int = CROP_SIZE) -> View:
    """The part of a view that the alignment cuts out for five points, drawn at `size` x `size` pixels.

    As `facemill.photos.alignment`, without its rounding to whole pixels: the resized photo has a scale and
    a corner that are real numbers.

    Args:
        points: (5, 2) pixels of `view`.
    """
    (left, top), standard_scale = place_standard_points(points)
    scale = CROP_SCALE / standard_scale
    # The origin of the standard points comes to the centre of the crop, up to the half pixels that the
    # released code's rounding adds.
    middle = CROP_SIZE / 2
    crop_from_photo = np.array(
        [[scale, 0.0, middle - scale * left], [0.0, scale, middle - scale * top], [0.0, 0.0, 1.0]]
    )
    drawn_from_crop = resizing((CROP_SIZE, CROP_SIZE), (size, size))
    camera = view.camera.cropped(torch.from_numpy(drawn_from_crop @ crop_from_photo))
    return View(camera, (size, size), view.yaw, view.pitch, view.roll, view.distance, view.focal)
