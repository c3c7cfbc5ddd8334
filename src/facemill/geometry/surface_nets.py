"""The surface in a grid of signed distances, part of which may be unknown."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# The 12 edges of a cell between its corners (i, j, k) in {0, 1}^3, by axis: first corner, second corner.
_EDGES = [
    (tuple(np.insert(rest, axis, 0)), tuple(np.insert(rest, axis, 1)))
    for axis in range(3)
    for rest in ((0, 0), (0, 1), (1, 0), (1, 1))
]


class NetSurface(NamedTuple):
    """vertices: (V, 3) float64, in units of the grid; triangles: (F, 3) int64."""

    vertices: NDArray[np.float64]
    triangles: NDArray[np.int64]


def surface_nets(distances: NDArray[np.floating], known: NDArray[np.bool_]) -> NetSurface:
    """The zero level of a grid of signed distances (Gibson 1998, without relaxation).

    Each cell of eight known corners in which the sign changes gets one vertex: the mean of the crossings on
    its edges, which lies on the surface where that is flat. Each grid edge that the surface crosses joins the
    vertices of the four cells around it with two triangles; they are left out where one of the cells has an
    unknown corner, so the surface ends (in a border, not in a wall) where knowledge ends.

    Args:
        distances: (I, J, K), positive outside; finite where `known`.
        known: (I, J, K).
    Returns:
        vertices (i, j, k) of the grid; triangles counter-clockwise seen from outside (the positive side) when
        (i, j, k) are right-handed. Vertices of no triangle are left out.
    """
    if distances.ndim != 3 or known.shape != distances.shape:
        raise ValueError(
            f"distances and known must share a shape (I, J, K): {distances.shape}, {known.shape}"
        )
    inside = (distances < 0) & known
    corners = [_corner(array, offset) for array in (inside, known) for offset in np.ndindex(2, 2, 2)]
    some = np.logical_or.reduce(corners[:8])
    every = np.logical_and.reduce(corners[:8])
    cells = np.argwhere(some & ~every & np.logical_and.reduce(corners[8:]))
    numbers = np.full(np.array(distances.shape) - 1, -1, dtype=np.int64)
    numbers[tuple(cells.T)] = np.arange(len(cells))
    triangles = _triangles(inside, known, numbers)
    used = np.unique(triangles)
    renumbered = np.full(len(cells), -1, dtype=np.int64)
    renumbered[used] = np.arange(len(used))
    return NetSurface(_vertices(distances, cells[used]), renumbered[triangles])


def _vertices(distances: NDArray, cells: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean of the crossings of each cell (n, 3)."""
    total, count = np.zeros((len(cells), 3)), np.zeros(len(cells))
    for first, second in _EDGES:
        a = distances[tuple((cells + first).T)].astype(np.float64)
        b = distances[tuple((cells + second).T)].astype(np.float64)
        crossed = (a < 0) != (b < 0)
        share = np.divide(a, a - b, out=np.zeros_like(a), where=crossed)
        place = np.asarray(first) + share[:, None] * (np.asarray(second) - np.asarray(first))
        total += np.where(crossed[:, None], place, 0)
        count += crossed
    return cells + total / np.maximum(count, 1)[:, None]


def _triangles(inside: NDArray, known: NDArray, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Two triangles around each crossed edge whose four cells have vertices."""
    found = []
    for axis in range(3):
        before = [slice(None)] * 3
        after = [slice(None)] * 3
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        here, there = inside[tuple(before)], inside[tuple(after)]
        crossed = (here != there) & known[tuple(before)] & known[tuple(after)]
        edges = np.argwhere(crossed)
        leaving = here[tuple(edges.T)]  # from inside to outside along the axis
        first, second = np.eye(3, dtype=np.int64)[[(axis + 1) % 3, (axis + 2) % 3]]
        around = [edges - first - second, edges - second, edges, edges - first]
        limits = np.array(numbers.shape)
        fits = np.logical_and.reduce([((cell >= 0) & (cell < limits)).all(axis=1) for cell in around])
        quads = np.stack([numbers[tuple(cell[fits].T)] for cell in around], axis=1)
        whole = (quads >= 0).all(axis=1)
        quads = np.where(leaving[fits][:, None], quads, quads[:, ::-1])[whole]
        found += [quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]
    return np.concatenate(found)


def _corner(array: NDArray, offset: tuple[int, ...]) -> NDArray:
    """The value at one corner of each cell."""
    return array[tuple(slice(o, o - 1 or None) for o in offset)]
