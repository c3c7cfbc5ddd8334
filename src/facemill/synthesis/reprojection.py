"""Does a surface lie where the photos of a capture show it? Measured in pixels, from the pictures alone.

The coloured surface is drawn with the capture's own cameras and compared with each photo, window by window:
by how much must the drawing move so that its texture meets the photo's? No landmark and nothing the generator
knows goes into it, so a wrong lens model, a shifted principal point or a transposed matrix shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, gaussian_filter, map_coordinates, spline_filter

from facemill.geometry.camera import Camera
from facemill.geometry.mesh import Mesh
from facemill.rendering.rasterize import interpolate, rasterize

WINDOW = 31  # px, side of a window
SPACING = 24  # px between windows
SAMPLES = 3  # squared, per pixel of the drawing
ITERATIONS = 8
FINEST, COARSEST = 0.7, 6.0  # px, scales of the texture that is compared
LEAST_CORRELATION = 0.7
MOST_UNCERTAIN = 0.08  # px, what the residual of a window lets its shift be off by: bare skin says nothing


@dataclass(frozen=True)
class WindowShifts:
    """places (n, 2): centres of the windows, px; shifts (n, 2): photo minus drawing, px, right and down.

    correlations: (n,) of the texture after moving, at least `LEAST_CORRELATION`.
    """

    places: NDArray[np.float64]
    shifts: NDArray[np.float64]
    correlations: NDArray[np.float64]

    @property
    def lengths(self) -> NDArray[np.float64]:
        """(n,) px."""
        return np.asarray(np.linalg.norm(self.shifts, axis=1))


def window_shifts(photo: NDArray, mesh: Mesh, camera: Camera) -> WindowShifts:
    """Compare an undistorted photo with a surface.

    Args:
        photo: (H, W, 3) uint8 or 0..1, as a pinhole takes it (`geometry.lens.undistort_image`).
        mesh: with colours; mm, world of `camera`.
        camera: without batch axis.
    Raises:
        ValueError: the mesh has no colours.
    """
    if mesh.colors is None:
        raise ValueError("mesh: expected vertex colours, found none")
    drawing, covered = _drawing(mesh, camera, photo.shape[:2])
    seen = np.asarray(photo, dtype=np.float64).mean(axis=2)
    texture = _texture(seen, covered)
    inner = binary_erosion(covered, iterations=WINDOW // 2 + 3)
    found = [
        (place, *result)
        for place in _places(inner)
        if (result := _shift(texture, drawing, place)) is not None
    ]
    return WindowShifts(
        np.array([place[::-1] for place, _, _ in found], dtype=np.float64).reshape(-1, 2),
        np.array([shift for _, shift, _ in found]).reshape(-1, 2),
        np.array([score for _, _, score in found]),
    )


def _drawing(mesh: Mesh, camera: Camera, size: tuple[int, int]) -> tuple[NDArray, NDArray[np.bool_]]:
    """Texture of the surface as this camera sees it, and where it is."""
    fine = (size[0] * SAMPLES, size[1] * SAMPLES)
    grown = np.diag([SAMPLES, SAMPLES, 1.0])
    grown[:2, 2] = (SAMPLES - 1) / 2
    large = camera.cropped(torch.from_numpy(grown))
    points = large.points_in_camera(torch.as_tensor(mesh.vertices, dtype=torch.float64))[None]
    triangles = torch.as_tensor(mesh.triangles)
    fragments = rasterize(points, triangles, large.intrinsics, fine)
    grey = torch.as_tensor(np.asarray(mesh.colors).mean(axis=1))[None, :, None]
    values = interpolate(fragments, fragments.barycentrics, grey, triangles)[0, ..., 0].numpy()
    blocks = (size[0], SAMPLES, size[1], SAMPLES)
    covered = np.asarray(fragments.mask[0].numpy().reshape(blocks).all(axis=(1, 3)))
    return _texture(values.reshape(blocks).mean(axis=(1, 3)), covered), covered


def _texture(picture: NDArray, covered: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Detail between two scales; the light, which the drawing lacks, is coarser."""
    inside = covered.astype(np.float64)
    fine, coarse = (
        gaussian_filter(picture * inside, sigma) / np.maximum(gaussian_filter(inside, sigma), 1e-6)
        for sigma in (FINEST, COARSEST)
    )
    return np.where(covered, (fine - coarse) / np.maximum(coarse, 1e-6), 0.0)


def _places(inner: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Centres (n, 2), row and column, of the windows that lie wholly on the surface."""
    grid = np.zeros_like(inner)
    grid[::SPACING, ::SPACING] = True
    return np.argwhere(inner & grid)


def _shift(photo: NDArray, drawing: NDArray, place: NDArray) -> tuple[NDArray[np.float64], float] | None:
    """Gauss-Newton (Lucas and Kanade 1981) on shift, gain and offset of one window."""
    reach = WINDOW // 2
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1] + place[:, None, None]
    wanted = photo[rows, columns].ravel()
    margin = reach + 6
    box = tuple(slice(max(0, p - margin), p + margin + 1) for p in place)
    local = spline_filter(drawing[box])
    corner = np.array([part.start for part in box])
    shift = np.zeros(2)  # down, right
    for _ in range(ITERATIONS):
        at = np.stack([rows - corner[0] - shift[0], columns - corner[1] - shift[1]])
        moved = map_coordinates(local, at, prefilter=False, mode="nearest")
        down, right = np.gradient(moved)
        table = np.stack([moved.ravel(), np.ones(moved.size), -down.ravel(), -right.ravel()], axis=1)
        solution, _, rank, _ = np.linalg.lstsq(table, wanted, rcond=None)
        if rank < 4 or solution[0] < 0.05:
            return None
        step = np.clip(solution[2:] / solution[0], -1, 1)
        shift = shift + step
        if np.abs(shift).max() > 5:
            return None
        if np.abs(step).max() < 1e-3:
            break
    score = float(np.corrcoef(moved.ravel(), wanted)[0, 1])
    usable = score >= LEAST_CORRELATION and _uncertainty(table, wanted, solution) <= MOST_UNCERTAIN
    return (shift[::-1], score) if usable else None


def _uncertainty(table: NDArray, wanted: NDArray, solution: NDArray) -> float:
    """Standard deviation (px) of the less certain direction of the shift, by the residual of the fit.

    Texture is smoothed, so that about one pixel in six brings news of its own.
    """
    residual = wanted - table @ solution
    variance = 6 * float(residual @ residual) / len(wanted) / solution[0] ** 2
    normal = table[:, 2:].T @ table[:, 2:]
    return float(np.sqrt(variance / max(np.linalg.eigvalsh(normal)[0], 1e-12)))
