"""The CPU rasteriser: a z-buffer in numba. Called through `facemill.rendering.rasterize`."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from facemill.geometry.coverage import first_centre, last_centre, on_inner_side, side_of_edge


class Screen(NamedTuple):
    """Vertices of one image on its screen: x, y (V,) in pixels and 1/depth (V,); x is NaN where unusable."""

    x: NDArray
    y: NDArray
    inverse_depth: NDArray


class Buffers(NamedTuple):
    """What is filled for one image: triangle ids (H, W) int64, barycentrics (H, W, 3), depth (H, W)."""

    triangle_ids: NDArray
    barycentrics: NDArray
    depth: NDArray


@njit(cache=True, nogil=True)
def project_to_screen(
    vertices: NDArray, intrinsics: NDArray, near: float, x: NDArray, y: NDArray, w: NDArray
) -> None:
    """Fill x, y and w = 1/depth of vertices (V, 3) in the camera frame; x = NaN nearer than `near`."""
    fx, skew, cx = intrinsics[0, 0], intrinsics[0, 1], intrinsics[0, 2]
    turn, fy, cy = intrinsics[1, 0], intrinsics[1, 1], intrinsics[1, 2]
    for v in range(vertices.shape[0]):
        z = np.float64(vertices[v, 2])
        if z >= near:
            inverse = 1.0 / z
            w[v] = inverse
            x[v] = (fx * vertices[v, 0] + skew * vertices[v, 1]) * inverse + cx
            y[v] = (turn * vertices[v, 0] + fy * vertices[v, 1]) * inverse + cy
        else:
            x[v], y[v], w[v] = math.nan, math.nan, math.nan


@njit(cache=True, nogil=True)
def fill_rows(
    x: NDArray,
    y: NDArray,
    w: NDArray,
    triangles: NDArray,
    cull: bool,
    start: int,
    stop: int,
    ids: NDArray,
    barycentrics: NDArray,
    depth: NDArray,
) -> None:
    """Rasterise rows start..stop - 1. No pixel depends on another, so any cut into bands gives the same."""
    width = ids.shape[1]
    nearest = np.zeros((stop - start, width))
    ids[start:stop] = -1
    for f in range(triangles.shape[0]):
        i, j, k = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        ay, by, cy = y[i], y[j], y[k]
        top, bottom = math.ceil(min(ay, by, cy)), math.floor(max(ay, by, cy))
        # Most triangles of a face contain no pixel centre: these two comparisons drop them.
        if not (top <= bottom and bottom >= start and top < stop):
            continue
        ax, bx, cx = x[i], x[j], x[k]
        left, right = first_centre(min(ax, bx, cx)), last_centre(max(ax, bx, cx), width)
        if not left <= right:
            continue
        turn = side_of_edge(ax, ay, bx, by, cx, cy)
        # Rows run downwards: a triangle that is counter-clockwise to the viewer turns negatively.
        if turn == 0.0 or math.isnan(turn + w[i] + w[j] + w[k]) or math.isinf(turn) or (cull and turn > 0.0):
            continue
        wi, wj, wk = w[i], w[j], w[k]
        if turn < 0.0:
            bx, by, wj, cx, cy, wk = cx, cy, wk, bx, by, wj
        foremost = max(wi, wj, wk) * (1.0 + 1e-12)  # rounding must not hide a tie
        for row in range(int(max(top, start)), int(min(bottom, stop - 1.0)) + 1):
            for column in range(int(left), int(right) + 1):
                if foremost < nearest[row - start, column]:
                    continue
                side_a = side_of_edge(bx, by, cx, cy, column, row)
                if not on_inner_side(side_a, cx - bx, cy - by):
                    continue
                side_b = side_of_edge(cx, cy, ax, ay, column, row)
                if not on_inner_side(side_b, ax - cx, ay - cy):
                    continue
                side_c = side_of_edge(ax, ay, bx, by, column, row)
                if not on_inner_side(side_c, bx - ax, by - ay):
                    continue
                inverse = (side_a * wi + side_b * wj + side_c * wk) / (side_a + side_b + side_c)
                if inverse > nearest[row - start, column]:
                    nearest[row - start, column] = inverse
                    ids[row, column] = f
    for row in range(start, stop):
        for column in range(width):
            f = ids[row, column]
            if f < 0:
                barycentrics[row, column] = 0.0
                depth[row, column] = math.inf
                continue
            i, j, k = triangles[f, 0], triangles[f, 1], triangles[f, 2]
            a = side_of_edge(x[j], y[j], x[k], y[k], column, row) * w[i]
            b = side_of_edge(x[k], y[k], x[i], y[i], column, row) * w[j]
            c = side_of_edge(x[i], y[i], x[j], y[j], column, row) * w[k]
            total = a + b + c
            barycentrics[row, column, 0] = a / total
            barycentrics[row, column, 1] = b / total
            barycentrics[row, column, 2] = c / total
            depth[row, column] = 1.0 / nearest[row - start, column]


def rasterize_screens(
    screens: list[Screen],
    triangles: NDArray,
    size: tuple[int, int],
    dtype: np.dtype,
    cull: bool,
    threads: int,
) -> Buffers:
    """Rasterise each screen over `triangles` (F, 3): buffers with a leading batch axis.

    Work is cut into images and, when there are fewer images than threads, bands of rows. The kernels release
    Python's lock. (Threads rather than numba's `parallel=True`, whose OpenMP pool kills forked data loaders.)
    """
    height, width = size
    count = len(screens)
    buffers = Buffers(
        np.empty((count, height, width), np.int64),
        np.empty((count, height, width, 3), dtype),
        np.empty((count, height, width), dtype),
    )
    bands = min(max(1, math.ceil(threads / max(count, 1))), max(height, 1))
    rows = np.linspace(0, height, bands + 1).astype(int)

    def fill(job: tuple[int, int]) -> None:
        image, band = job
        fill_rows(
            *screens[image],
            triangles,
            cull,
            rows[band],
            rows[band + 1],
            *(buffer[image] for buffer in buffers),
        )

    in_threads(fill, [(image, band) for image in range(count) for band in range(bands)], threads)
    return buffers


def screens_of(vertices: NDArray, intrinsics: NDArray, near: float, threads: int) -> list[Screen]:
    """Project a batch (B, V, 3) with intrinsics (B, 3, 3) float64."""
    screens = [Screen(*np.empty((3, vertices.shape[1]))) for _ in range(len(vertices))]

    def one(image: int) -> None:
        project_to_screen(vertices[image], intrinsics[image], near, *screens[image])

    in_threads(one, list(range(len(vertices))), threads)
    return screens


def in_threads(function: Callable[[Any], None], jobs: list, threads: int) -> None:
    """Call `function` on each job, in this thread if one is enough."""
    if threads <= 1 or len(jobs) <= 1:
        for job in jobs:
            function(job)
        return
    with ThreadPoolExecutor(min(threads, len(jobs))) as pool:
        list(pool.map(function, jobs))
