"""Tangent frames of a mesh with an atlas: the axes that a tangent-space normal map is about."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facemill.geometry.mesh import FloatArray, IntArray


class TangentFrames(NamedTuple):
    """tangents: (N, 3) unit, across the normals, towards growing u; signs: (N,) 1, or -1 where mirrored.

    The third axis is sign x cross(normal, tangent), towards growing v (up in the texture).
    """

    tangents: NDArray[np.float64]
    signs: NDArray[np.float64]

    def bitangents(self, normals: FloatArray) -> NDArray[np.float64]:
        """(N, 3) the third axes."""
        return np.asarray(self.signs[:, None] * np.cross(normals, self.tangents))


def tangent_frames(
    vertices: FloatArray, normals: FloatArray, uv: FloatArray, triangles: IntArray
) -> TangentFrames:
    """Axes of each vertex of a mesh that is split along the seams of its atlas.

    Of each triangle around a vertex the direction of growing u counts in the plane across the vertex' normal,
    with the triangle's angle there as its weight (as in Mikkelsen 2008, MikkTSpace). Where the atlas has no
    area any direction across the normal is taken.

    Args:
        vertices, normals: (N, 3), normals of unit length; uv: (N, 2), v up; triangles: (F, 3) into N.

    >>> square = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    >>> corners = np.array([[0, 1, 2], [0, 2, 3]])
    >>> tangent_frames(square, np.array([[0, 0, 1.0]] * 4), square[:, :2], corners).tangents[0]
    array([1., 0., 0.])
    """
    points, places = (np.asarray(table, dtype=np.float64)[triangles] for table in (vertices, uv))
    first, second = points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]
    (u1, v1), (u2, v2) = (places[:, 1] - places[:, 0]).T, (places[:, 2] - places[:, 0]).T
    area = u1 * v2 - u2 * v1
    along_u = (first * v2[:, None] - second * v1[:, None]) * np.sign(area)[:, None]
    sums, mirrored = np.zeros((len(vertices), 3)), np.zeros(len(vertices))
    for corner in range(3):
        vertex = np.asarray(triangles)[:, corner]
        sides = [points[:, (corner + step) % 3] - points[:, corner] for step in (1, 2)]
        cosine = (_unit(sides[0]) * _unit(sides[1])).sum(axis=1)
        angle = np.arccos(np.clip(cosine, -1, 1))
        np.add.at(sums, vertex, angle[:, None] * _unit(_across(along_u, normals[vertex])))
        np.add.at(mirrored, vertex, angle * np.sign(area))
    tangents = _unit(_across(sums, normals))
    lost = ~tangents.any(axis=1)
    smallest = np.eye(3)[np.abs(normals[lost]).argmin(axis=1)]
    tangents[lost] = _unit(_across(smallest, normals[lost]))
    return TangentFrames(tangents, np.where(mirrored < 0, -1.0, 1.0))


def _across(vectors: FloatArray, normals: FloatArray) -> NDArray[np.float64]:
    return np.asarray(vectors - (vectors * normals).sum(axis=1, keepdims=True) * normals)


def _unit(vectors: FloatArray) -> NDArray[np.float64]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors, dtype=np.float64), where=length > 1e-12)
