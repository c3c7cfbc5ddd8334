"""Smaller triangles where they are needed: Loop subdivision of a part of a mesh, without cracks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


@dataclass(frozen=True)
class Refinement:
    """One step of subdivision; old vertices keep their numbers.

    Attributes:
        operator: (V', V) positions of the new vertices from the old ones, smooth, rows sum to 1.
        means: (V', V) the same with plain midpoints, for fields and colours.
        triangles: (F', 3).
        uv_means: (T', T) atlas positions; uv_triangles: (F', 3), row by row like `triangles`.
        refined: (F',) bool, which new triangles come from refined ones.
    """

    operator: sparse.csr_matrix
    means: sparse.csr_matrix
    triangles: NDArray[np.int64]
    uv_means: sparse.csr_matrix
    uv_triangles: NDArray[np.int64]
    refined: NDArray[np.bool_]


def refine(
    triangles: NDArray, uv_triangles: NDArray, vertex_count: int, uv_count: int, refined: NDArray[np.bool_]
) -> Refinement:
    """Split each of the `refined` (F,) triangles into four, and their neighbours as the shared edges ask.

    New vertices: 3/8 of the ends of the edge + 1/8 of the two corners opposite (Loop 1987), the midpoint on
    borders. Old vertices that are surrounded by refined triangles move by Loop's rule, the others stay.
    """
    sides = np.stack([triangles, np.roll(triangles, -1, axis=1)], axis=-1)
    edges, of_side = _unique_edges(sides, vertex_count)
    split = np.zeros(len(edges), dtype=bool)
    split[of_side[refined]] = True
    number = np.where(split, vertex_count + np.cumsum(split) - 1, -1)
    middle = number[of_side]  # (F, 3): the new vertex in the middle of side k, or -1
    uv_sides = np.stack([uv_triangles, np.roll(uv_triangles, -1, axis=1)], axis=-1)
    uv_edges, uv_of_side = _unique_edges(uv_sides, uv_count)
    uv_split = np.zeros(len(uv_edges), dtype=bool)
    uv_split[uv_of_side[middle >= 0]] = True
    uv_number = np.where(uv_split, uv_count + np.cumsum(uv_split) - 1, -1)
    pieces = _pieces(middle >= 0)
    new, owner = _assembled(np.concatenate([triangles, middle], axis=1), pieces)
    uv_new, _ = _assembled(np.concatenate([uv_triangles, uv_number[uv_of_side]], axis=1), pieces)
    means = _midpoints(edges[split], vertex_count)
    operator = _loop_operator(triangles, edges, of_side, split, refined, vertex_count)
    return Refinement(operator, means, new, _midpoints(uv_edges[uv_split], uv_count), uv_new, refined[owner])


def _unique_edges(sides: NDArray, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Undirected edges (E, 2) and the edge of each side (F, 3)."""
    ordered = np.sort(sides, axis=-1)
    keys, inverse = np.unique(ordered[..., 0] * count + ordered[..., 1], return_inverse=True)
    return np.stack([keys // count, keys % count], axis=1), inverse.reshape(sides.shape[:2])


#: By which sides are split (bits 1, 2, 4): triangles over corners 0 1 2 and midpoints 3 4 5 of the sides.
_PATTERNS = {
    0: ((0, 1, 2),),
    1: ((0, 3, 2), (3, 1, 2)),
    2: ((0, 1, 4), (0, 4, 2)),
    4: ((0, 1, 5), (5, 1, 2)),
    3: ((0, 3, 2), (3, 4, 2), (3, 1, 4)),
    6: ((0, 1, 4), (0, 4, 5), (5, 4, 2)),
    5: ((0, 3, 5), (3, 1, 5), (5, 1, 2)),
    7: ((0, 3, 5), (3, 1, 4), (5, 4, 2), (3, 4, 5)),
}


def _pieces(is_split: NDArray[np.bool_]) -> list[tuple[NDArray, tuple[tuple[int, int, int], ...]]]:
    code = is_split @ np.array([1, 2, 4])
    return [(np.flatnonzero(code == key), pattern) for key, pattern in _PATTERNS.items()]


def _assembled(
    corners: NDArray, pieces: list[tuple[NDArray, tuple[tuple[int, int, int], ...]]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """New triangles and the old triangle of each."""
    triangles = [corners[rows][:, list(three)] for rows, pattern in pieces for three in pattern]
    owners = [rows for rows, pattern in pieces for _ in pattern]
    return np.concatenate(triangles).astype(np.int64), np.concatenate(owners)


def _midpoints(edges: NDArray, count: int) -> sparse.csr_matrix:
    rows = np.repeat(np.arange(len(edges)), 2)
    halves = sparse.csr_matrix((np.full(len(rows), 0.5), (rows, edges.ravel())), shape=(len(edges), count))
    return sparse.vstack([sparse.identity(count), halves], format="csr")


def _loop_operator(
    triangles: NDArray,
    edges: NDArray,
    of_side: NDArray,
    split: NDArray[np.bool_],
    refined: NDArray[np.bool_],
    count: int,
) -> sparse.csr_matrix:
    sides_at_edge = np.bincount(of_side.ravel(), minlength=len(edges))
    opposite = np.roll(triangles, -2, axis=1)
    row_of = np.cumsum(split) - 1
    inner = split & (sides_at_edge == 2)
    wings = inner[of_side]
    ends = np.where(inner, 3 / 8, 1 / 2)[split]
    rows = np.concatenate([np.repeat(np.arange(int(split.sum())), 2), row_of[of_side[wings]]])
    columns = np.concatenate([edges[split].ravel(), opposite[wings]])
    values = np.concatenate([np.repeat(ends, 2), np.full(int(wings.sum()), 1 / 8)])
    new = sparse.csr_matrix((values, (rows, columns)), shape=(int(split.sum()), count))

    surrounded = np.ones(count, dtype=bool)
    surrounded[triangles[~refined].ravel()] = False
    surrounded[edges[sides_at_edge != 2].ravel()] = False
    valence = np.bincount(edges.ravel(), minlength=count)
    surrounded &= valence > 0
    beta = (0.625 - (0.375 + 0.25 * np.cos(2 * np.pi / np.maximum(valence, 1))) ** 2) / np.maximum(valence, 1)
    beta = np.where(surrounded, beta, 0.0)
    both = np.concatenate([edges, edges[:, ::-1]])
    old = sparse.csr_matrix((beta[both[:, 0]], (both[:, 0], both[:, 1])), shape=(count, count))
    old = old + sparse.diags(1 - beta * valence)
    return sparse.vstack([old, new], format="csr")
