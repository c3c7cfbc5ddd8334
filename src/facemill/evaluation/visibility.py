"""Which vertices of a scan can be seen from outside."""

from __future__ import annotations

import igl
import numpy as np
from numpy.typing import NDArray

from facemill.geometry.mesh import FloatArray, IntArray

START = 0.05  # mm above the surface, so that a ray does not meet the triangles around its own vertex


def visible_from_outside(
    vertices: FloatArray, triangles: IntArray, queries: IntArray, front: FloatArray, directions: int = 48
) -> NDArray[np.bool_]:
    """Whether at least one direction from which a face can be seen shows a vertex, (len(queries),) bool.

    Rays leave each vertex towards `directions` directions spread evenly over the half of the sphere around
    `front` (Fibonacci lattice); a vertex is seen when one of them meets nothing. Only half of the sphere,
    because scans are open at the back: from there, one sees the inner side of everything. A ray counts only
    if it leaves the surface by more than 6 degrees, on either side, so that flipped triangles do not matter.

    Args:
        vertices: (V, 3), mm. triangles: (F, 3). queries: vertex ids. front: (3,), out of the face.
    """
    positions = np.ascontiguousarray(vertices, dtype=np.float64)
    table = np.ascontiguousarray(triangles, dtype=np.int64)
    tree = igl.AABB()
    tree.init(positions, table)
    normals, origins = _normals(positions, table)[queries], positions[queries]
    seen = np.zeros(len(queries), dtype=bool)
    for direction in _half_sphere(directions, np.asarray(front, dtype=np.float64)):
        left = np.flatnonzero(~seen)
        slope = normals[left] @ direction
        steep = np.abs(slope) > np.sin(np.radians(6))
        left, side = left[steep], np.sign(slope[steep])[:, None]
        if not len(left):
            continue
        start = np.ascontiguousarray(origins[left] + START * side * normals[left])
        rays = np.broadcast_to(direction, start.shape).copy()
        hit, _, _ = tree.intersect_ray_first(positions, table, start, rays)
        seen[left] = np.asarray(hit) < 0
    return seen


def _half_sphere(count: int, front: NDArray[np.float64]) -> NDArray[np.float64]:
    """(count, 3) unit vectors, evenly spread over the half around `front`, from its middle outwards."""
    along = front / np.linalg.norm(front)
    first = np.cross(along, np.eye(3)[np.abs(along).argmin()])
    first /= np.linalg.norm(first)
    height = 1 - (np.arange(count) + 0.5) / count
    angle = np.pi * (1 + np.sqrt(5)) * np.arange(count)
    radius = np.sqrt(1 - height**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1) @ np.stack(
        [first, np.cross(along, first), along]
    )


def _normals(vertices: NDArray[np.float64], triangles: IntArray) -> NDArray[np.float64]:
    """Unit normals of vertices, weighted by area, of either sign; 0 where a vertex has no triangle.

    Each triangle is first turned to the side of the last triangle around the vertex, so that flipped ones do
    not cancel the others.
    """
    corners = vertices[triangles]
    areas = np.repeat(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), 3, axis=0)
    owners = triangles.ravel()
    side = np.zeros_like(vertices)
    side[owners] = areas
    areas = areas * np.where((areas * side[owners]).sum(axis=1, keepdims=True) < 0, -1.0, 1.0)
    sums = np.stack([np.bincount(owners, areas[:, axis], len(vertices)) for axis in range(3)], axis=1)
    length = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.divide(sums, length, out=np.zeros_like(sums), where=length > 0)
