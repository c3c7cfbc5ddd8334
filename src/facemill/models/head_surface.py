"""The surface of the embedded head: Catmull-Clark level 2 in the face, level 1 elsewhere, without cracks.

Everything is linear in the base vertices: the bases are stored at the base level and subdivided at load.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from facemill.geometry.subdivision import subdivision_operator, triangles_from_quads


@dataclass(frozen=True)
class HeadSurface:
    """How base vertices become the vertices of the model.

    Attributes:
        triangles: (F, 3), counter-clockwise seen from outside.
        triangle_quads: (F,) the base quad each triangle lies in.
        operator: (V, base vertices), rows sum to 1.
        middle_operator: (V, level-1 vertices), rows sum to 1; colours are stored at level 1.
        base_operator: (level-1 vertices, base vertices).
        level1_of: (V,) the level-1 vertex which a vertex refines, -1 for those that appear at level 2.
    """

    triangles: NDArray[np.int64]
    triangle_quads: NDArray[np.int64]
    operator: sparse.csr_matrix
    middle_operator: sparse.csr_matrix
    base_operator: sparse.csr_matrix
    level1_of: NDArray[np.int64]


def mixed_surface(quads: NDArray, refined: NDArray[np.bool_], vertex_count: int) -> HeadSurface:
    """Subdivide all quads once and the `refined` ones twice (Catmull and Clark 1978).

    Every vertex lies on the level-2 surface. A quad of level 1 that meets a refined one takes the points in
    the middle of the shared edges among its corners and becomes a fan around its centre: no crack opens.

    Args:
        quads: (Q, 4) base vertex ids.
        refined: (Q,) which base quads are subdivided twice.
        vertex_count: number of base vertices.
    Raises:
        ValueError: `refined` has not one entry per quad.
    """
    if refined.shape != (len(quads),):
        raise ValueError(f"refined: expected shape ({len(quads)},), found {refined.shape}")
    base_operator, quads1 = subdivision_operator(quads, vertex_count)
    parents1 = np.arange(len(quads1)) // 4
    full_operator, quads2 = subdivision_operator(quads1, base_operator.shape[0])
    parents2 = np.arange(len(quads2)) // 4
    corners = _corners_first(quads2)

    fine = refined[parents1]
    open_edges = _edge_points_of(corners[fine[parents2]])
    pieces: list[tuple[NDArray, NDArray]] = [(corners[fine[parents2]], parents1[parents2[fine[parents2]]])]
    meets_fine = np.zeros(len(quads1), dtype=bool)
    on_border = np.isin(corners[:, [1, 3]], open_edges) & ~fine[parents2][:, None]
    meets_fine[parents2[on_border.any(axis=1)]] = True
    plain = ~fine & ~meets_fine
    pieces.append((quads1[plain], parents1[plain]))
    triangles = [triangles_from_quads(piece) for piece, _ in pieces]
    owners = [np.repeat(owner, 2) for _, owner in pieces]

    fans = corners[meets_fine[parents2]]
    fan_owner = parents1[parents2[meets_fine[parents2]]]
    triangles_of_fans, owners_of_fans = _fan_triangles(fans, fan_owner, open_edges)
    triangles.append(triangles_of_fans)
    owners.append(owners_of_fans)
    kept, numbered = np.unique(np.concatenate(triangles), return_inverse=True)
    middle = full_operator.tocsr()[kept]
    return HeadSurface(
        numbered.reshape(-1, 3),
        np.concatenate(owners),
        (middle @ base_operator).tocsr(),
        middle,
        base_operator.tocsr(),
        np.where(kept < base_operator.shape[0], kept, -1),
    )


def _corners_first(children: NDArray) -> NDArray[np.int64]:
    """Turn each child so that it reads corner, edge point, centre, edge point."""
    first = np.argmin(children, axis=1)
    return children[np.arange(len(children))[:, None], (first[:, None] + np.arange(4)) % 4]


def _edge_points_of(children: NDArray) -> NDArray[np.int64]:
    return np.unique(children[:, [1, 3]])


def _fan_triangles(
    children: NDArray, owners: NDArray, open_edges: NDArray
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Triangles around the centres of coarse quads, whose `children` come in groups of four.

    Each child stands for the corner between two half edges. A half edge is drawn where its middle point is a
    vertex of the refined side; else the whole edge is drawn once, from the corner where the child begins.
    """
    corner, after, centre, before = children.T
    next_corner = _other_end(corner, after, before, centre)
    split_after = np.isin(after, open_edges)
    split_before = np.isin(before, open_edges)
    parts = [
        (np.stack([corner, after, centre], axis=1)[split_after], owners[split_after]),
        (np.stack([before, corner, centre], axis=1)[split_before], owners[split_before]),
        (np.stack([corner, next_corner, centre], axis=1)[~split_after], owners[~split_after]),
    ]
    return np.concatenate([p for p, _ in parts]), np.concatenate([o for _, o in parts])


def _other_end(corner: NDArray, after: NDArray, before: NDArray, centre: NDArray) -> NDArray[np.int64]:
    """For each child the corner at the far end of the edge it begins: the sibling that ends with it."""
    keys = {(int(c), int(e)): int(v) for c, e, v in zip(centre, before, corner, strict=True)}
    return np.array([keys[int(c), int(e)] for c, e in zip(centre, after, strict=True)], dtype=np.int64)
