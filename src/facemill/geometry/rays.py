"""Where rays meet a triangle mesh, exact, in float64 (libigl)."""

from __future__ import annotations

from typing import NamedTuple

import igl
import numpy as np
from numpy.typing import NDArray

from facemill.geometry.mesh import FloatArray, IntArray, check_triangles


class Hits(NamedTuple):
    """For each of N rays its first meeting with the surface.

    distances: (N,) along the ray, millimetres; infinite where it meets nothing. triangle_ids: (N,), -1 then.
    """

    distances: NDArray[np.float64]
    triangle_ids: NDArray[np.int64]


class RaySurface:
    """A surface prepared for rays.

    Args:
        vertices: (V, 3), finite. triangles: (F, 3), at least one.
    Raises:
        ValueError: no triangle, an index out of range, or a coordinate that is no number.
    """

    def __init__(self, vertices: FloatArray, triangles: IntArray) -> None:
        self.vertices = np.ascontiguousarray(vertices, dtype=np.float64)
        check_triangles(triangles, len(self.vertices))
        if not len(triangles):
            raise ValueError("triangles is empty: there is no surface to meet")
        if not np.isfinite(self.vertices).all():
            raise ValueError("vertices must be finite numbers")
        self.triangles = np.ascontiguousarray(triangles, dtype=np.int64)
        self._tree = igl.AABB()
        self._tree.init(self.vertices, self.triangles)

    def first_hits(self, origins: FloatArray, directions: FloatArray) -> Hits:
        """First meetings of rays from `origins` (N, 3) towards unit `directions` (N, 3), either side."""
        starts = np.ascontiguousarray(origins, dtype=np.float64)
        ways = np.ascontiguousarray(directions, dtype=np.float64)
        if not len(starts):
            return Hits(np.empty(0), np.empty(0, np.int64))
        ids, distances, _ = self._tree.intersect_ray_first(self.vertices, self.triangles, starts, ways)
        found = np.asarray(ids, dtype=np.int64)
        return Hits(np.where(found >= 0, np.asarray(distances, dtype=np.float64), np.inf), found)
