"""Which pixels a flat triangle owns: the exact rule behind every raster of the project (numba).

A pixel belongs to a triangle when its centre lies inside. A centre exactly on an edge belongs to one of the
two triangles that share the edge, never to both or none: the side of a point is computed from the same two
end points in the same order, whichever triangle asks, so both read the same number with opposite sign, and a
zero goes to the triangle along which the edge runs downwards (or, if it is level, to the right).

These functions are compiled into the kernels that call them, and numba's cache looks only at the caller's
file: after a change here, delete the `__pycache__` folders of geometry and rendering.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, inline="always")
def side_of_edge(ax: float, ay: float, bx: float, by: float, x: float, y: float) -> float:
    """Doubled signed area of (a, b, (x, y)); exactly minus that of (b, a, (x, y))."""
    if ax < bx or (ax == bx and ay < by):
        return (bx - ax) * (y - ay) - (by - ay) * (x - ax)
    return -((ax - bx) * (y - by) - (ay - by) * (x - bx))


@njit(cache=True, inline="always")
def on_inner_side(side: float, dx: float, dy: float) -> bool:
    """Whether a point at `side` of an edge of direction (dx, dy) is within a positively turning triangle."""
    return side > 0.0 or (side == 0.0 and (dy > 0.0 or (dy == 0.0 and dx > 0.0)))


@njit(cache=True, inline="always")
def first_centre(low: float) -> float:
    """Smallest integer coordinate, not below 0, that is at least `low`."""
    return max(0.0, math.ceil(low))


@njit(cache=True, inline="always")
def last_centre(high: float, limit: int) -> float:
    """Largest integer coordinate, below `limit`, that is at most `high`."""
    return min(limit - 1.0, math.floor(high))


@njit(cache=True, nogil=True)
def count_coverage(points: NDArray, triangles: NDArray, height: int, width: int) -> NDArray:
    """How many triangles own each pixel: points (P, 2) in pixels (x, y), triangles (F, 3) -> (H, W) int32."""
    count = np.zeros((height, width), np.int32)
    for f in range(triangles.shape[0]):
        i, j, k = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        ax, ay, bx, by, cx, cy = (
            points[i, 0],
            points[i, 1],
            points[j, 0],
            points[j, 1],
            points[k, 0],
            points[k, 1],
        )
        turn = side_of_edge(ax, ay, bx, by, cx, cy)
        if turn < 0.0:
            bx, by, cx, cy = cx, cy, bx, by
        elif not turn > 0.0:
            continue
        left, right = first_centre(min(ax, bx, cx)), last_centre(max(ax, bx, cx), width)
        top, bottom = first_centre(min(ay, by, cy)), last_centre(max(ay, by, cy), height)
        for row in range(int(top), int(bottom) + 1):
            for column in range(int(left), int(right) + 1):
                if (
                    on_inner_side(side_of_edge(bx, by, cx, cy, column, row), cx - bx, cy - by)
                    and on_inner_side(side_of_edge(cx, cy, ax, ay, column, row), ax - cx, ay - cy)
                    and on_inner_side(side_of_edge(ax, ay, bx, by, column, row), bx - ax, by - ay)
                ):
                    count[row, column] += 1
    return count
