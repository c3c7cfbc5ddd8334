"""Closest points on one surface, asked for many times: the tree is built once."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Literal, Protocol

import igl
import numpy as np

from facemill.geometry.closest_point import ClosestPoints
from facemill.geometry.mesh import FloatArray, IntArray, check_triangles
from facemill.runtime.errors import ConfigurationError

Engine = Literal["libigl", "psbody"]


class SurfaceIndex(Protocol):
    """A surface prepared for queries.

    vertices: (V, 3) float64 and triangles: (F, 3) int64 of the surface.
    """

    vertices: FloatArray
    triangles: IntArray

    def closest(self, queries: FloatArray) -> ClosestPoints:
        """Nearest points of the surface to `queries` (N, 3), in the frame of the surface."""
        ...


class LibiglIndex:
    """libigl's tree of boxes, exact, float64."""

    def __init__(self, vertices: FloatArray, triangles: IntArray) -> None:
        self.vertices, self.triangles = _checked(vertices, triangles)
        self._tree = igl.AABB()
        self._tree.init(self.vertices, self.triangles)

    def closest(self, queries: FloatArray) -> ClosestPoints:
        """Nearest points of the surface to `queries` (N, 3)."""
        points = np.ascontiguousarray(queries, dtype=np.float64)
        squared, ids, nearest = self._tree.squared_distance(self.vertices, self.triangles, points)
        return ClosestPoints(np.asarray(squared), np.asarray(nearest), np.asarray(ids, dtype=np.int64))


class PsbodyIndex:
    """The tree of the NoW reference implementation (package psbody-mesh, which builds from source)."""

    def __init__(self, vertices: FloatArray, triangles: IntArray) -> None:
        self.vertices, self.triangles = _checked(vertices, triangles)
        mesh = importlib.import_module("psbody.mesh").Mesh(v=self.vertices, f=self.triangles)
        self._tree = mesh.compute_aabb_tree()

    def closest(self, queries: FloatArray) -> ClosestPoints:
        """Nearest points of the surface to `queries` (N, 3)."""
        points = np.ascontiguousarray(queries, dtype=np.float64)
        ids, nearest = self._tree.nearest(points)
        nearest = np.asarray(nearest, dtype=np.float64)
        squared = ((points - nearest) ** 2).sum(axis=1)
        return ClosestPoints(squared, nearest, np.asarray(ids, dtype=np.int64).ravel())


def index_surface(vertices: FloatArray, triangles: IntArray, engine: Engine = "libigl") -> SurfaceIndex:
    """Prepare the surface of `triangles` (F, 3) over `vertices` (V, 3) for queries.

    Raises:
        ConfigurationError: `psbody` was chosen and is not installed.
        ValueError: no triangle, an index out of range, or a coordinate that is no number.
    """
    if engine == "libigl":
        return LibiglIndex(vertices, triangles)
    if importlib.util.find_spec("psbody") is None:
        raise ConfigurationError(
            "evaluate_now.engine: psbody",
            "the package psbody.mesh",
            "it is not installed (it is on no registry and builds from its repository)",
            "choose engine: libigl, which gives the same distances",
        )
    return PsbodyIndex(vertices, triangles)


def _checked(vertices: FloatArray, triangles: IntArray) -> tuple[FloatArray, IntArray]:
    positions = np.ascontiguousarray(vertices, dtype=np.float64)
    check_triangles(triangles, len(positions))
    if not len(triangles):
        raise ValueError("triangles is empty: there is no surface to measure to")
    if not np.isfinite(positions).all():
        raise ValueError("vertices must be finite numbers")
    return positions, np.ascontiguousarray(triangles, dtype=np.int64)
