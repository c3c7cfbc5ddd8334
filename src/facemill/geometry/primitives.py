"""Simple closed and open surfaces, for tests, benchmarks and calibration of everything that takes a mesh."""

from __future__ import annotations

import numpy as np

from facemill.geometry.mesh import IntArray, Mesh


def grid_triangles(rows: int, columns: int, wrap_rows: bool = False, wrap_columns: bool = False) -> IntArray:
    """Triangles of a grid numbered row by row: counter-clockwise when rows run down and columns right.

    With `wrap_...` the last row (column) is joined to the first.
    """
    index = np.arange(rows * columns).reshape(rows, columns)
    if wrap_rows:
        index = np.vstack([index, index[:1]])
    if wrap_columns:
        index = np.hstack([index, index[:, :1]])
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    return np.stack([a, c, d, a, d, b], axis=-1).reshape(-1, 3)


def square(columns: int = 2, rows: int = 2, width: float = 2.0, height: float = 2.0) -> Mesh:
    """Flat rectangle around the origin, facing +z, columns x rows vertices, uv = position in 0..1."""
    u, v = np.meshgrid(np.linspace(0, 1, columns), np.linspace(1, 0, rows))
    uv = np.stack([u.ravel(), v.ravel()], axis=1)
    vertices = np.column_stack([(uv[:, 0] - 0.5) * width, (uv[:, 1] - 0.5) * height, np.zeros(len(uv))])
    triangles = grid_triangles(rows, columns)
    return Mesh(vertices, triangles, uv=uv, uv_triangles=triangles)


def sphere(radius: float = 1.0, rings: int = 32, sectors: int = 64) -> Mesh:
    """Closed sphere around the origin, poles on the y axis; `rings` rows of vertices between the poles."""
    polar = np.pi * np.arange(1, rings + 1) / (rings + 1)
    # Seen from outside with +y up, columns run to the right as the azimuth from +z towards +x grows.
    azimuth = 2 * np.pi * np.arange(sectors) / sectors
    theta, phi = np.meshgrid(polar, azimuth, indexing="ij")
    around = np.stack([np.sin(theta) * np.sin(phi), np.cos(theta), np.sin(theta) * np.cos(phi)], axis=-1)
    vertices = np.vstack([around.reshape(-1, 3), [[0.0, 1.0, 0.0], [0.0, -1.0, 0.0]]]) * radius
    here = np.arange(sectors)
    following = (here + 1) % sectors
    last, north, south = (rings - 1) * sectors, rings * sectors, rings * sectors + 1
    caps = [
        np.stack([np.full(sectors, north), here, following], axis=1),
        np.stack([last + here, np.full(sectors, south), last + following], axis=1),
    ]
    return Mesh(vertices, np.vstack([grid_triangles(rings, sectors, wrap_columns=True), *caps]))


def torus(radius: float = 60.0, tube: float = 25.0, sectors: int = 96, sides: int = 48) -> Mesh:
    """Closed torus around the z axis."""
    around, across = np.meshgrid(
        2 * np.pi * np.arange(sectors) / sectors, 2 * np.pi * np.arange(sides) / sides, indexing="ij"
    )
    reach = radius + tube * np.cos(across)
    vertices = np.stack([reach * np.cos(around), reach * np.sin(around), tube * np.sin(across)], axis=-1)
    triangles = grid_triangles(sectors, sides, wrap_rows=True, wrap_columns=True)
    return Mesh(vertices.reshape(-1, 3), triangles)
