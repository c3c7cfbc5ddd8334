"""The cameras of several views at once, in numpy float64."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facemill.formats.captures import PreparedView

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Pinholes:
    """V pinhole cameras, world to camera, OpenCV axes.

    rotations: (V, 3, 3); translations: (V, 3), of the world's unit; intrinsics: (V, 3, 3), last row 0 0 1.
    """

    rotations: FloatArray
    translations: FloatArray
    intrinsics: FloatArray

    @staticmethod
    def of_views(views: Sequence[PreparedView]) -> Pinholes:
        """The cameras of prepared views, in their order."""
        cameras = [view.camera for view in views]
        return Pinholes(
            np.array([camera.rotation.numpy() for camera in cameras], dtype=np.float64).reshape(-1, 3, 3),
            np.array([camera.translation.numpy() for camera in cameras], dtype=np.float64).reshape(-1, 3),
            np.array([camera.intrinsics.numpy() for camera in cameras], dtype=np.float64).reshape(-1, 3, 3),
        )

    def __len__(self) -> int:
        return len(self.rotations)

    def __getitem__(self, views: NDArray | slice | list[int]) -> Pinholes:
        """Some of the cameras: ids, a mask or a slice."""
        return Pinholes(self.rotations[views], self.translations[views], self.intrinsics[views])

    @property
    def centres(self) -> FloatArray:
        """(V, 3) where the pinholes are in the world."""
        return -np.einsum("vji,vj->vi", self.rotations, self.translations)

    def in_cameras(self, points: FloatArray) -> FloatArray:
        """World points (N, 3) in each camera frame, (V, N, 3)."""
        return points @ self.rotations.transpose(0, 2, 1) + self.translations[:, None]

    def project(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Pixels (V, N, 2), NaN behind the camera, and depths (V, N) of world points (N, 3).

        >>> camera = Pinholes(np.eye(3)[None], np.zeros((1, 3)), np.diag([100.0, 50.0, 1.0])[None])
        >>> camera.project(np.array([[1.0, 2.0, 4.0]]))[0]
        array([[[25., 25.]]])
        """
        return pixels_of(self.in_cameras(points), self.intrinsics)

    def rays(self, pixels: FloatArray) -> FloatArray:
        """Unit directions (V, N, 3) in the world of pixels (V, N, 2)."""
        homogeneous = np.concatenate([pixels, np.ones_like(pixels[..., :1])], axis=-1)
        directions = homogeneous @ np.linalg.inv(self.intrinsics).transpose(0, 2, 1) @ self.rotations
        return directions / np.linalg.norm(directions, axis=-1, keepdims=True)

    def pixel_jacobians(self, points: FloatArray) -> FloatArray:
        """(V, N, 2, 3): how pixels move with world points (N, 3)."""
        inside = self.in_cameras(points)
        depth = inside[..., 2, None, None]
        upper = self.intrinsics[:, None, :2, :2]
        plane = (upper @ (inside[..., :2, None] / depth))[..., 0]
        in_camera = np.concatenate([upper / depth, -plane[..., None] / depth], axis=-1)
        return in_camera @ self.rotations[:, None]


def pixels_of(inside: FloatArray, intrinsics: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Pixels (V, N, 2), NaN behind the camera, and depths (V, N) of points (V, N, 3) of the camera frames."""
    depth = inside[..., 2]
    ahead = depth > 0
    plane = inside[..., :2] / np.where(ahead, depth, np.nan)[..., None]
    pixels = plane @ intrinsics[:, :2, :2].transpose(0, 2, 1) + intrinsics[:, None, :2, 2]
    return pixels, depth
