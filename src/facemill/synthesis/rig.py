"""A rig of calibrated cameras around a head: places, lenses, and what a calibration gets wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from facemill.geometry.camera import Camera, project
from facemill.geometry.lens import Lens
from facemill.geometry.rotation import matrix_from_axis_angle, matrix_from_euler_deep3d

# (yaw, pitch) in degrees, signs as in `rendering.render.turned_camera`, most useful first: fewer views take
# the beginning. An arc in front, two cameras above and below, two at the sides, two high between; from the
# eleventh on what a studio adds: straight ahead, between the others, under the chin, and two full profiles.
STATIONS = (
    (-18.0, 2.0),
    (18.0, 2.0),
    (-46.0, -4.0),
    (46.0, -4.0),
    (0.0, 24.0),
    (0.0, -24.0),
    (-72.0, 2.0),
    (72.0, 2.0),
    (-32.0, 20.0),
    (32.0, 20.0),
    (0.0, 2.0),
    (-30.0, -18.0),
    (30.0, -18.0),
    (-60.0, 14.0),
    (60.0, 14.0),
    (-14.0, 40.0),
    (14.0, 40.0),
    (0.0, -42.0),
    (-90.0, 0.0),
    (90.0, 0.0),
)
FIELD = 216.0  # mm that the shorter side of a photo covers at the face: 0.25 mm per pixel at 864 px


@dataclass(frozen=True)
class RigCamera:
    """One camera: pinhole (world to camera, float64, no batch axis), lens, size (height, width) of photos."""

    camera: Camera
    lens: Lens
    size: tuple[int, int]

    def project(self, points: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """World points (n, 3) in the photo: pixels (n, 2) as the lens shows them, depth (n,) mm."""
        projection = project(torch.as_tensor(points, dtype=torch.float64), self.camera)
        pixels = self.lens.distort_pixels(projection.pixels.numpy(), self.camera.intrinsics.numpy())
        return pixels, projection.depth.numpy()


def random_rig(
    random: np.random.Generator, views: int, size: tuple[int, int], middle: NDArray
) -> list[RigCamera]:
    """Cameras that look at `middle` (3,) of the head frame; world = head frame.

    Args:
        views: 1 to 20.
        size: (height, width).
    Raises:
        ValueError: `views` is out of range.
    """
    if not 1 <= views <= len(STATIONS):
        raise ValueError(f"views must be 1 to {len(STATIONS)}, not {views}")
    return [_random_camera(random, station, size, middle) for station in STATIONS[:views]]


def station_rotation(yaw: float, pitch: float, roll: float = 0.0) -> torch.Tensor:
    """camera_from_head (3, 3) of a camera that looks at the face from a direction in degrees."""
    angles = torch.deg2rad(torch.tensor([pitch, yaw, roll], dtype=torch.float64))
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
    return flip @ matrix_from_euler_deep3d(angles)


def random_lens(random: np.random.Generator) -> Lens:
    """A lens that moves pixels by several at the corners of a photo: barrel or pincushion, slightly askew."""
    k1 = random.choice([-1.0, -1.0, 1.0]) * random.uniform(0.15, 0.35)
    k2, k3 = random.normal(0, 0.3), random.normal(0, 0.5)
    p1, p2 = random.normal(0, 1.5e-3, 2)
    return Lens(*(float(value) for value in (k1, k2, p1, p2, k3)))


def moved_rig(rig: list[RigCamera], rotation: NDArray, shift: NDArray) -> list[RigCamera]:
    """The rig after the world, cameras included, moved by p -> rotation p + shift."""
    turn, offset = torch.as_tensor(rotation), torch.as_tensor(shift)
    return [RigCamera(one.camera.moved(turn, offset), one.lens, one.size) for one in rig]


def misjudged(random: np.random.Generator, true: RigCamera, points: NDArray, pixels: float) -> RigCamera:
    """What a calibration with an error of `pixels` would say of a camera.

    Rotation, place, focal length, principal point and k1 are all a little off, by amounts of equal effect;
    together they move `points` (n, 3) of the world by `pixels` root mean square in the photo.
    """
    if pixels == 0:
        return true
    # What each of nine parameters does to the photo, per unit; then a mix of equal shares.
    draws = random.standard_normal(9)
    units = np.array([_shift(_changed(true, 1e-4 * row), true, points) / 1e-4 for row in np.eye(9)])
    change = draws / units
    for _ in range(3):  # the effect of the mix is all but linear in its size
        change *= pixels / _shift(_changed(true, change), true, points)
    return _changed(true, change)


def random_motion(random: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A rotation (3, 3), all equally likely, and a shift (3,) of some decimetres: any world frame."""
    quaternion = random.standard_normal(4)
    angle = 2 * np.arctan2(np.linalg.norm(quaternion[1:]), quaternion[0])
    axis = quaternion[1:] / np.linalg.norm(quaternion[1:])
    rotation = matrix_from_axis_angle(torch.as_tensor(angle * axis)).numpy()
    return rotation, random.normal(0, 150, 3)


def _random_camera(
    random: np.random.Generator, station: tuple[float, float], size: tuple[int, int], middle: NDArray
) -> RigCamera:
    yaw, pitch = np.array(station) + random.normal(0, 2.0, 2)
    roll = random.normal(0, 3.0)
    rotation = station_rotation(yaw, pitch, roll)
    distance = random.uniform(900, 1150)
    aim = torch.as_tensor(middle + random.normal(0, 4.0, 3))
    height, width = size
    focal = distance * min(size) / FIELD * random.uniform(0.97, 1.03)
    principal = (np.array([width, height]) - 1) / 2 + random.normal(0, 0.01, 2) * width
    intrinsics = torch.tensor(
        [
            [focal, 0.0, principal[0]],
            [0.0, focal * random.uniform(0.999, 1.001), principal[1]],
            [0.0, 0.0, 1.0],
        ],
        dtype=torch.float64,
    )
    place = torch.tensor([0.0, 0.0, distance], dtype=torch.float64) - rotation @ aim
    return RigCamera(Camera(rotation, place, intrinsics), random_lens(random), size)


def _changed(true: RigCamera, change: NDArray) -> RigCamera:
    """The camera with rotation (3), place (3), log focal length, principal point along u, and k1 changed.

    The place moves by metres per unit, the principal point by thousands of pixels, so that a unit of each is
    of one order.
    """
    camera = true.camera
    turn = matrix_from_axis_angle(torch.as_tensor(change[:3]))
    intrinsics = camera.intrinsics.clone()
    intrinsics[:2, :2] *= float(np.exp(change[6]))
    intrinsics[:2, 2] += 1000 * float(change[7])
    lens = true.lens
    return RigCamera(
        Camera(turn @ camera.rotation, camera.translation + 1000 * torch.as_tensor(change[3:6]), intrinsics),
        Lens(lens.k1 + float(change[8]), lens.k2, lens.p1, lens.p2, lens.k3),
        true.size,
    )


def _shift(other: RigCamera, true: RigCamera, points: NDArray) -> float:
    """Root mean square distance in pixels between what two cameras make of points."""
    difference = other.project(points)[0] - true.project(points)[0]
    return float(np.sqrt((difference**2).sum(axis=1).mean()))
