"""Distances from points to a triangle mesh, exact, in float64 (libigl)."""

from __future__ import annotations

from typing import NamedTuple

import igl
import numpy as np
from numpy.typing import NDArray

from facemill.geometry.mesh import FloatArray, IntArray, check_triangles


class ClosestPoints(NamedTuple):
    """For each of N query points the nearest point of the surface (faces, edges and corners all count).

    squared_distances: (N,), square millimetres; points: (N, 3), on the surface; triangle_ids: (N,) int64.
    """

    squared_distances: NDArray[np.float64]
    points: NDArray[np.float64]
    triangle_ids: NDArray[np.int64]

    @property
    def distances(self) -> NDArray[np.float64]:
        """(N,), millimetres, not signed."""
        return np.sqrt(self.squared_distances)


def closest_points(queries: FloatArray, vertices: FloatArray, triangles: IntArray) -> ClosestPoints:
    """Nearest points of the surface (vertices (V, 3), triangles (F, 3)) to `queries` (N, 3).

    Raises:
        ValueError: a wrong shape, a coordinate that is not finite, an index out of range, or no triangle.
    """
    queries, vertices = _points("queries", queries), _points("vertices", vertices)
    check_triangles(triangles, len(vertices))
    if not len(triangles):
        raise ValueError("triangles is empty: there is no surface to measure to")
    if not len(queries):
        return ClosestPoints(np.empty(0), np.empty((0, 3)), np.empty(0, np.int64))
    table = np.ascontiguousarray(triangles, dtype=np.int64)
    squared, ids, points = igl.point_mesh_squared_distance(queries, vertices, table)
    return ClosestPoints(np.asarray(squared), np.asarray(points), np.asarray(ids, dtype=np.int64))


def _points(name: str, points: FloatArray) -> NDArray[np.float64]:
    table: NDArray[np.float64] = np.ascontiguousarray(points, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != 3:
        raise ValueError(f"{name} must have shape (N, 3), not {table.shape}")
    if not np.isfinite(table).all():
        bad = int((~np.isfinite(table)).any(axis=1).argmax())
        raise ValueError(f"{name} must be finite numbers; row {bad} is {table[bad].tolist()}")
    return table
