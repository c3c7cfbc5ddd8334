"""A smooth surface through the vertices of a mesh, one curved patch per triangle."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from facemill.geometry.mesh import FloatArray


def curved_points(corners: FloatArray, normals: FloatArray, weights: FloatArray) -> NDArray[np.float64]:
    """Points (N, 3) of curved PN triangles (Vlachos, Peters, Boyd and Mitchell 2001).

    Each patch is a cubic Bezier triangle through its corners, across the normal at each of them. Patches that
    share an edge and the normals at its ends share the curve between them, so the surface has no holes; its
    normals agree at corners and nearly along edges.

    Args:
        corners: (N, 3, 3) the triangle of each point, any unit; normals: (N, 3, 3) of unit length there.
        weights: (N, 3) barycentric coordinates within the triangle.

    >>> flat = np.array([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]])
    >>> up = np.broadcast_to([0.0, 0, 1], (1, 3, 3))
    >>> curved_points(flat, up, np.array([[0.5, 0.25, 0.25]]))
    array([[0.25, 0.25, 0.  ]])
    """
    places, facing = np.asarray(corners, dtype=np.float64), np.asarray(normals, dtype=np.float64)
    share = np.asarray(weights, dtype=np.float64)[..., None]
    points = (places * share**3).sum(axis=1)
    middle = np.zeros_like(points)
    for near, far in permutations(range(3), 2):
        along = places[:, far] - places[:, near]
        above = (along * facing[:, near]).sum(axis=-1, keepdims=True)
        control = places[:, near] + (along - above * facing[:, near]) / 3
        points += 3 * share[:, near] ** 2 * share[:, far] * control
        middle += control / 6
    middle += (middle - places.mean(axis=1)) / 2
    points += 6 * share.prod(axis=1) * middle
    return np.asarray(points)
