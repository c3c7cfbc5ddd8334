"""What a real lens does to a pinhole picture: radial and tangential distortion, and the way back.

Points are (x, y) on the plane z = 1 of the camera ("normalised": x_cam/z_cam, y_cam/z_cam); pixels are
K (x, y, 1). The photo shows the distorted point; the pinhole of `geometry.camera` the undistorted one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import map_coordinates

from facemill.geometry.image import check_image, transform_points

FloatArray = NDArray[np.float64]
ITERATIONS = 30
CONVERGED = 1e-12  # on the plane z = 1: a millionth of a millionth of the focal length


@dataclass(frozen=True)
class Lens:
    """Distortion of Brown and Conrady, three radial and two tangential terms (the order of OpenCV's five).

    With r^2 = x^2 + y^2 and g = 1 + k1 r^2 + k2 r^4 + k3 r^6:
    x' = g x + 2 p1 x y + p2 (r^2 + 2 x^2);  y' = g y + p1 (r^2 + 2 y^2) + 2 p2 x y.

    >>> Lens(k1=0.5, p1=0.25).distort([[1.0, 2.0]])       # r^2 = 5, g = 3.5; + (1, 3.25)
    array([[ 4.5 , 10.25]])
    """

    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0
    k3: float = 0.0

    def distort(self, points: ArrayLike) -> FloatArray:
        """Where the lens shows points (..., 2) of the plane z = 1."""
        x, y = np.moveaxis(np.asarray(points, dtype=np.float64), -1, 0)
        square = x * x + y * y
        gain = 1 + square * (self.k1 + square * (self.k2 + square * self.k3))
        return np.stack(
            [
                gain * x + 2 * self.p1 * x * y + self.p2 * (square + 2 * x * x),
                gain * y + self.p1 * (square + 2 * y * y) + 2 * self.p2 * x * y,
            ],
            axis=-1,
        )

    def undistort(self, points: ArrayLike) -> FloatArray:
        """The inverse of `distort`, (..., 2): Newton's method from the point itself.

        NaN where it does not settle: there the polynomial folds over, and no real lens works so far outside.
        """
        target = np.asarray(points, dtype=np.float64)
        found = target.copy()
        for _ in range(ITERATIONS):
            error = self.distort(found) - target
            if not np.nanmax(np.abs(error), initial=0.0) > CONVERGED:
                break
            found = found - self._solved(found, error)
        settled = np.abs(self.distort(found) - target).max(axis=-1, initial=0.0) < 1e3 * CONVERGED
        return np.where((settled & self._unfolded(found))[..., None], found, np.nan)

    def distort_pixels(self, pixels: ArrayLike, intrinsics: ArrayLike) -> FloatArray:
        """Pixels (..., N, 2) of the pinhole with K `intrinsics` (3, 3) -> pixels of the photo."""
        matrix = np.asarray(intrinsics, dtype=np.float64)
        points = transform_points(np.linalg.inv(matrix), np.asarray(pixels, dtype=np.float64))
        return np.asarray(transform_points(matrix, self.distort(points)))

    def undistort_pixels(self, pixels: ArrayLike, intrinsics: ArrayLike) -> FloatArray:
        """Pixels (..., N, 2) of the photo -> of the pinhole; NaN as in `undistort`."""
        matrix = np.asarray(intrinsics, dtype=np.float64)
        points = transform_points(np.linalg.inv(matrix), np.asarray(pixels, dtype=np.float64))
        return np.asarray(transform_points(matrix, self.undistort(points)))

    def _jacobian(self, points: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """d x'/d x, d x'/d y = d y'/d x, d y'/d y at points (..., 2)."""
        x, y = np.moveaxis(points, -1, 0)
        square = x * x + y * y
        gain = 1 + square * (self.k1 + square * (self.k2 + square * self.k3))
        slope = 2 * (self.k1 + square * (2 * self.k2 + square * 3 * self.k3))  # d gain / d square, times 2
        return (
            gain + slope * x * x + 2 * self.p1 * y + 6 * self.p2 * x,
            slope * x * y + 2 * self.p1 * x + 2 * self.p2 * y,
            gain + slope * y * y + 6 * self.p1 * y + 2 * self.p2 * x,
        )

    def _solved(self, points: FloatArray, error: FloatArray) -> FloatArray:
        xx, xy, yy = self._jacobian(points)
        determinant = xx * yy - xy * xy
        safe = np.where(np.abs(determinant) > 1e-9, determinant, np.inf)
        step = np.stack(
            [yy * error[..., 0] - xy * error[..., 1], xx * error[..., 1] - xy * error[..., 0]], axis=-1
        )
        return step / safe[..., None]

    def _unfolded(self, points: FloatArray) -> NDArray[np.bool_]:
        xx, xy, yy = self._jacobian(points)
        return np.asarray((xx * yy - xy * xy > 0) & (xx + yy > 0))


class Undistorted(NamedTuple):
    """image: the pinhole's picture, shape and dtype of the photo; valid: (H, W) bool, the photo shows it."""

    image: NDArray
    valid: NDArray[np.bool_]


def undistort_image(image: NDArray, intrinsics: ArrayLike, lens: Lens, order: int = 3) -> Undistorted:
    """The picture that a pinhole with the same K would have taken.

    Args:
        image: (H, W) or (H, W, C), uint8 or floating point.
        intrinsics: (3, 3).
        order: of the spline that reads the photo; 1 (bilinear) is faster, and blurs fine detail.
    Returns:
        the picture, which repeats the nearest border pixel where the photo ends.
    """
    height, width = check_image(image).shape[:2]
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    at = lens.distort_pixels(np.stack([columns, rows], axis=-1), intrinsics)
    limits = np.array([width - 1, height - 1])
    valid = np.asarray(((at >= -0.5) & (at <= limits + 0.5)).all(axis=-1))
    places = np.stack([at[..., 1], at[..., 0]])
    planes = np.moveaxis(image.reshape(height, width, -1).astype(np.float32), -1, 0)
    read = [map_coordinates(plane, places, order=order, mode="nearest") for plane in planes]
    drawn: NDArray = np.stack(read, axis=-1).reshape(image.shape)
    if image.dtype == np.uint8:
        drawn = np.clip(np.rint(drawn), 0, 255)
    return Undistorted(drawn.astype(image.dtype), valid)
