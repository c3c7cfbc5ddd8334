"""How much of the sky each point of a head sees: what makes soft light soft."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from facemill.rendering.zbuffer import Screen, rasterize_screens

COUNT = 48
MAP_SIZE = 64
_BIAS = 4.0  # millimetres in front of a point that do not hide it: the coarse mesh cuts corners


def _spiral(count: int) -> NDArray[np.float32]:
    """(count, 3) unit directions, evenly over the sphere (a Fibonacci spiral)."""
    place = np.arange(count) + 0.5
    height = 1 - 2 * place / count
    turn = math.pi * (1 + math.sqrt(5)) * place
    ring = np.sqrt(1 - height * height)
    return np.stack([ring * np.cos(turn), height, ring * np.sin(turn)], axis=1).astype(np.float32)


DIRECTIONS = _spiral(COUNT)
DIRECTIONS.setflags(write=False)


class SkyMaps:
    """Parallel depth maps of what stands in the way, one from each direction.

    Args:
        blockers: (b, 3) vertices, head frame; triangles: (m, 3).
        size: pixels of a map's side.
        closed: only front sides block: faster, right for a closed surface.
        wanted: (COUNT,) bool; directions that are not wanted count as open.
    """

    def __init__(
        self,
        blockers: NDArray,
        triangles: NDArray,
        size: int = MAP_SIZE,
        closed: bool = False,
        wanted: NDArray[np.bool_] | None = None,
    ) -> None:
        self._centre = 0.5 * (blockers.min(axis=0) + blockers.max(axis=0)).astype(np.float32)
        self._radius = float(np.linalg.norm(blockers - self._centre, axis=1).max()) + 1.0
        self._scale = (size - 1) / (2 * self._radius)
        table = np.ascontiguousarray(triangles, dtype=np.int64)
        self._columns = [column for column in range(COUNT) if wanted is None or wanted[column]]
        self._heights: list[NDArray[np.float32]] = []
        for frame in _FRAMES[self._columns]:
            flat = (blockers - self._centre) @ frame.T
            x, y = ((flat[:, axis] + self._radius) * self._scale for axis in (0, 1))
            # The rasteriser keeps the largest of what it takes for 1/depth: here the height above a plane
            # behind everything.
            height = flat[:, 2] + 2 * self._radius
            screen = Screen(*(np.ascontiguousarray(column, dtype=np.float64) for column in (x, y, height)))
            inverse = rasterize_screens([screen], table, (size, size), np.dtype(np.float32), closed, 1).depth
            self._heights.append(1.0 / inverse[0] - 2 * self._radius)

    def open_share(self, points: NDArray, normals: NDArray) -> NDArray[np.float32]:
        """Share of each direction that is open at each point: (n, COUNT), 0..1.

        A point is hidden where a map lies before it, blended between the four nearest pixels. Directions
        behind a surface are called open: the cosine takes care of them.

        Args:
            points, normals: (n, 3) head frame.
        """
        visible = np.ones((len(points), COUNT), np.float32)
        shifted = np.ascontiguousarray(points - self._centre, dtype=np.float32)
        facing = np.ascontiguousarray(normals, dtype=np.float32)
        for column, heights in zip(self._columns, self._heights, strict=True):
            mark_open(
                shifted, facing, _FRAMES[column], heights, self._radius, self._scale, _BIAS, visible, column
            )
        return visible


def open_sky(points: NDArray, normals: NDArray, blockers: NDArray, triangles: NDArray) -> NDArray[np.float32]:
    """Share of each direction that blockers (b, 3) leave open at each point: see `SkyMaps`."""
    return SkyMaps(blockers, triangles).open_share(points, normals)


@njit(cache=True, nogil=True, fastmath=True)
def mark_open(
    points: NDArray,
    normals: NDArray,
    frame: NDArray,
    heights: NDArray,
    radius: float,
    scale: float,
    bias: float,
    visible: NDArray,
    column: int,
) -> None:
    """Fill one column of `visible` from the map of heights along the third row of `frame`."""
    size = heights.shape[0]
    for v in range(points.shape[0]):
        px, py, pz = points[v, 0], points[v, 1], points[v, 2]
        facing = frame[2, 0] * normals[v, 0] + frame[2, 1] * normals[v, 1] + frame[2, 2] * normals[v, 2]
        if facing <= 0.0:
            continue
        x = (px * frame[0, 0] + py * frame[0, 1] + pz * frame[0, 2] + radius) * scale
        y = (px * frame[1, 0] + py * frame[1, 1] + pz * frame[1, 2] + radius) * scale
        height = px * frame[2, 0] + py * frame[2, 1] + pz * frame[2, 2]
        slope = min(math.sqrt(1.0 - min(facing * facing, 1.0)) / max(facing, 0.15), 4.0)
        limit = height + bias + slope / scale
        left, top = math.floor(x), math.floor(y)
        if left < 0 or top < 0 or left >= size - 1 or top >= size - 1:
            continue
        fx, fy = x - left, y - top
        hidden = 0.0
        if heights[top, left] > limit:
            hidden += (1 - fx) * (1 - fy)
        if heights[top, left + 1] > limit:
            hidden += fx * (1 - fy)
        if heights[top + 1, left] > limit:
            hidden += (1 - fx) * fy
        if heights[top + 1, left + 1] > limit:
            hidden += fx * fy
        visible[v, column] = 1.0 - hidden


def _across(direction: NDArray) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The axes of a picture taken against a unit direction: to the right, and down."""
    helper = np.array([0.0, 1.0, 0.0] if abs(direction[1]) < 0.9 else [1.0, 0.0, 0.0])
    across = np.cross(helper, direction)
    across /= np.linalg.norm(across)
    return across.astype(np.float32), np.cross(across, direction).astype(np.float32)


_FRAMES = np.stack([np.stack([*_across(direction), direction]) for direction in DIRECTIONS])
