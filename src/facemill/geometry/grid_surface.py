"""Surfaces that are given point by point on a rectangular grid of texels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facemill.geometry.mesh import FloatArray, Mesh

LONGEST_EDGE = 8.0  # of the median edge: what is longer joins two islands of an atlas that touch


def grid_mesh(
    points: FloatArray, normals: FloatArray, mask: NDArray[np.bool_], size: int, corner: tuple[int, int]
) -> Mesh:
    """Two triangles for each square of four texels of a mask; one vertex per texel that a triangle uses.

    Args:
        points: (H, W, 3), and normals (H, W, 3), outwards, which decide how the triangles run; any frame.
        mask: (H, W), texels that are part of the surface.
        size: texels along each side of the whole map; corner: row and column of texel (0, 0) in it. They
            give the vertices their uv (v up, texel centres).
    Returns:
        Vertices in the order of rows; counter-clockwise triangles seen from outside. Squares with an edge
        longer than 8 median edges are left out. A mask without a square gives a mesh without triangles.
    """
    height, width = mask.shape
    ids = np.arange(height * width).reshape(height, width)
    square = mask[:-1, :-1] & mask[1:, :-1] & mask[1:, 1:] & mask[:-1, 1:]
    corners = np.stack([ids[:-1, :-1], ids[1:, :-1], ids[1:, 1:], ids[:-1, 1:]], axis=-1)[square]
    flat = np.asarray(points, dtype=np.float64).reshape(-1, 3)
    if len(corners):
        loop = flat[corners]
        lengths = np.linalg.norm(loop - np.roll(loop, 1, axis=1), axis=-1)
        corners = corners[lengths.max(axis=1) <= LONGEST_EDGE * np.median(lengths)]
    triangles = np.concatenate([corners[:, [0, 1, 2]], corners[:, [0, 2, 3]]])
    if len(triangles):
        a, b, c = (flat[triangles[:, k]] for k in range(3))
        facing = np.asarray(normals, dtype=np.float64).reshape(-1, 3)[triangles[:, 0]]
        if np.median(np.einsum("nc,nc->n", np.cross(b - a, c - a), facing)) < 0:
            triangles = triangles[:, ::-1]
    used, renumbered = np.unique(triangles, return_inverse=True)
    rows, columns = np.divmod(used, width)
    uv = np.stack(
        [(columns + corner[1] + 0.5) / size, 1 - (rows + corner[0] + 0.5) / size],
        axis=1,
    )
    table = renumbered.reshape(-1, 3).astype(np.int64)
    return Mesh(flat[used], table, None, uv, table)
