"""The inner loops of synthesis that numpy is too slow for."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def along_line(points: NDArray, line: NDArray, reach: float) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """The points (n, 3) within `reach` of a polyline (m, 3).

    Returns their numbers, the distance, the run along the line to the nearest place, and the offset from
    there to the left of the way as seen from the front (x to the right, y up), all in millimetres.
    """
    low, high = np.empty(3), np.empty(3)
    for axis in range(3):
        low[axis] = line[:, axis].min() - reach
        high[axis] = line[:, axis].max() + reach
    count = len(line) - 1
    lengths, starts = np.empty(count), np.empty(count)
    total = 0.0
    for piece in range(count):
        step = line[piece + 1] - line[piece]
        lengths[piece] = np.sqrt((step * step).sum())
        starts[piece] = total
        total += lengths[piece]
    number = np.empty(len(points), dtype=np.int64)
    distance, run, left = np.empty(len(points)), np.empty(len(points)), np.empty(len(points))
    found = 0
    for index in range(len(points)):
        x, y, z = points[index, 0], points[index, 1], points[index, 2]
        if x < low[0] or x > high[0] or y < low[1] or y > high[1] or z < low[2] or z > high[2]:
            continue
        best = reach * reach
        hit = False
        for piece in range(count):
            ax, ay, az = line[piece, 0], line[piece, 1], line[piece, 2]
            dx, dy, dz = line[piece + 1, 0] - ax, line[piece + 1, 1] - ay, line[piece + 1, 2] - az
            share = ((x - ax) * dx + (y - ay) * dy + (z - az) * dz) / max(lengths[piece] ** 2, 1e-12)
            share = min(1.0, max(0.0, share))
            ox, oy, oz = x - ax - share * dx, y - ay - share * dy, z - az - share * dz
            squared = ox * ox + oy * oy + oz * oz
            if squared < best:
                best = squared
                hit = True
                run[found] = starts[piece] + share * lengths[piece]
                left[found] = (dx * oy - dy * ox) / max(np.sqrt(dx * dx + dy * dy), 1e-9)
        if hit:
            number[found] = index
            distance[found] = np.sqrt(best)
            found += 1
    return number[:found], distance[:found], run[:found], left[:found]


@njit(cache=True, nogil=True)
def area_normals(vertices: NDArray, triangles: NDArray) -> NDArray:
    """Unit normals (n, 3) float32 of vertices, each triangle by its area; 0 where there is none."""
    normals = np.zeros((len(vertices), 3), dtype=np.float32)
    for index in range(len(triangles)):
        a, b, c = triangles[index, 0], triangles[index, 1], triangles[index, 2]
        ux = vertices[b, 0] - vertices[a, 0]
        uy = vertices[b, 1] - vertices[a, 1]
        uz = vertices[b, 2] - vertices[a, 2]
        vx = vertices[c, 0] - vertices[a, 0]
        vy = vertices[c, 1] - vertices[a, 1]
        vz = vertices[c, 2] - vertices[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for corner in (a, b, c):
            normals[corner, 0] += nx
            normals[corner, 1] += ny
            normals[corner, 2] += nz
    for index in range(len(normals)):
        x, y, z = normals[index, 0], normals[index, 1], normals[index, 2]
        length = np.sqrt(x * x + y * y + z * z)
        if length > 1e-12:
            normals[index, 0], normals[index, 1], normals[index, 2] = x / length, y / length, z / length
    return normals
