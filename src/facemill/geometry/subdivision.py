"""Subdivision as a linear operator: new vertices = sparse matrix @ old vertices.

So the bases of a model subdivide like shapes. Catmull and Clark 1978 for quads, with the usual rule for
boundaries (cubic B-spline along the border); midpoint subdivision for triangles.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

IntArray = NDArray[np.integer]


class Subdivision(NamedTuple):
    """operator: (V', V) CSR, rows sum to 1; the first V rows belong to the old vertices.

    faces: (4 F, 4) quads or (4 F, 3) triangles into V'; rows 4 f .. 4 f + 3 come from old face f.
    """

    operator: sparse.csr_matrix
    faces: IntArray


def subdivision_operator(
    quads: IntArray, vertex_count: int, levels: int = 1, smooth: bool = True
) -> Subdivision:
    """Catmull-Clark subdivision of a quad mesh, `levels` times.

    Old vertices come first, then one vertex per edge, then one per face, at each level. `smooth=False` places
    edge and face points at plain means and leaves old vertices alone: the right rule for texture coordinates
    (run it on the quads of the atlas; faces correspond row by row).

    Args:
        quads: (F, 4) integer, each in order around the face, all with one orientation.
        vertex_count: V; a vertex of no face stays where it is.
    Raises:
        ValueError: `quads` is not (F, 4) integers within 0..V-1, `levels` < 0, or an edge has three faces.
    """
    if levels < 0:
        raise ValueError(f"levels must be 0 or more, not {levels}")
    faces = _checked(quads, vertex_count, 4, "quads")
    operator = sparse.identity(vertex_count, format="csr")
    for _ in range(levels):
        step = _catmull_clark(faces, operator.shape[0], smooth)
        operator, faces = sparse.csr_matrix(step.operator @ operator), step.faces
    return Subdivision(operator, faces)


def midpoint_subdivision(triangles: IntArray, vertex_count: int, levels: int = 1) -> Subdivision:
    """Each triangle into four by the midpoints of its edges; the surface stays the same."""
    if levels < 0:
        raise ValueError(f"levels must be 0 or more, not {levels}")
    faces = _checked(triangles, vertex_count, 3, "triangles")
    operator = sparse.identity(vertex_count, format="csr")
    for _ in range(levels):
        count = operator.shape[0]
        edges, edge_of_side = _edges(faces)
        step = sparse.vstack([sparse.identity(count), _means(edges, count)], format="csr")
        a, b, c = faces.T
        ab, bc, ca = (count + edge_of_side).T
        faces = np.stack([a, ab, ca, b, bc, ab, c, ca, bc, ab, bc, ca], axis=1).reshape(-1, 3)
        operator = sparse.csr_matrix(step @ operator)
    return Subdivision(operator, faces)


def triangles_from_quads(quads: IntArray) -> IntArray:
    """Each quad (a, b, c, d) as triangles (a, b, c), (a, c, d): (F, 4) -> (2 F, 3), same orientation."""
    return np.asarray(quads)[:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3)


def _catmull_clark(quads: IntArray, count: int, smooth: bool) -> Subdivision:
    edges, edge_of_side = _edges(quads)
    face_points = _means(quads, count)
    edge_points = _means(edges, count)
    old_points = sparse.identity(count, format="csr")
    if smooth:
        faces_at_edge = np.bincount(edge_of_side.ravel(), minlength=len(edges))
        if faces_at_edge.max(initial=0) > 2:
            worst = edges[faces_at_edge.argmax()]
            raise ValueError(
                f"edge {worst.tolist()} belongs to {faces_at_edge.max()} faces; at most 2 can be smooth"
            )
        inner = faces_at_edge == 2
        face_of_edge = _incidence(
            edge_of_side.ravel(), np.repeat(np.arange(len(quads)), 4), len(edges), len(quads)
        )
        smooth_edges = edge_points * 0.5 + face_of_edge @ face_points * 0.25
        old_points = _moved_vertices(quads, edges, inner, face_points, edge_points, count)
        edge_points = _where(inner, smooth_edges, edge_points)
    operator = sparse.vstack([old_points, edge_points, face_points], format="csr")
    corners, sides = quads, count + edge_of_side
    centre = np.broadcast_to((count + len(edges) + np.arange(len(quads)))[:, None], quads.shape)
    new = np.stack([corners, sides, centre, np.roll(sides, 1, axis=1)], axis=-1)
    return Subdivision(operator, new.reshape(-1, 4))


def _moved_vertices(
    quads: IntArray,
    edges: IntArray,
    inner: NDArray[np.bool_],
    face_points: sparse.csr_matrix,
    edge_points: sparse.csr_matrix,
    count: int,
) -> sparse.csr_matrix:
    """Old vertices: (mean face point + 2 mean edge midpoint + (n - 3) vertex) / n; borders: spline."""
    face_at_vertex = _incidence(quads.ravel(), np.repeat(np.arange(len(quads)), 4), count, len(quads))
    edge_at_vertex = _incidence(edges.ravel(), np.repeat(np.arange(len(edges)), 2), count, len(edges))
    faces, valence = _row_sums(face_at_vertex), _row_sums(edge_at_vertex)
    border_edges = _row_sums(edge_at_vertex @ sparse.diags_array((~inner).astype(float)))
    n = np.maximum(valence, 1)
    identity = sparse.identity(count, format="csr")
    inside = (
        _scaled(1 / (n * np.maximum(faces, 1)), face_at_vertex @ face_points)
        + _scaled(2 / (n * n), edge_at_vertex @ edge_points)
        + _scaled((n - 3) / n, identity)
    )
    border_midpoints = edge_at_vertex @ sparse.diags_array((~inner).astype(float)) @ edge_points
    border = identity * 0.5 + border_midpoints * 0.25
    # A vertex where several borders meet has no smooth rule; it stays, like a vertex without faces.
    return _where(border_edges == 2, border, _where((border_edges == 0) & (faces > 0), inside, identity))


def _edges(faces: IntArray) -> tuple[IntArray, IntArray]:
    """Undirected edges (E, 2), and for each face the edge of each side k (corner k to k + 1): (F, n)."""
    sides = np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1).reshape(-1, 2)
    edges, of_side = np.unique(np.sort(sides, axis=1), axis=0, return_inverse=True)
    return edges, of_side.reshape(faces.shape)


def _means(groups: IntArray, count: int) -> sparse.csr_matrix:
    """Matrix that averages the vertices of each row of `groups` (N, k): (N, count)."""
    rows = np.repeat(np.arange(len(groups)), groups.shape[1])
    return _incidence(rows, groups.ravel(), len(groups), count) / groups.shape[1]


def _incidence(rows: IntArray, columns: IntArray, height: int, width: int) -> sparse.csr_matrix:
    return sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(height, width))


def _row_sums(matrix: sparse.csr_matrix) -> NDArray[np.float64]:
    return np.asarray(matrix.sum(axis=1)).ravel()


def _scaled(factors: NDArray[np.float64], matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    return sparse.csr_matrix(sparse.diags_array(factors) @ matrix)


def _where(condition: NDArray[np.bool_], yes: sparse.csr_matrix, no: sparse.csr_matrix) -> sparse.csr_matrix:
    """Rows of `yes` where the condition holds, rows of `no` elsewhere."""
    chosen = _scaled(condition.astype(float), yes) + _scaled((~condition).astype(float), no)
    chosen.eliminate_zeros()
    return chosen


def _checked(faces: IntArray, vertex_count: int, corners: int, name: str) -> IntArray:
    faces = np.asarray(faces)
    if faces.ndim != 2 or faces.shape[1] != corners or not np.issubdtype(faces.dtype, np.integer):
        raise ValueError(f"{name} must be integers of shape (F, {corners}), not {faces.dtype} {faces.shape}")
    if faces.size and (faces.min() < 0 or faces.max() >= vertex_count):
        raise ValueError(
            f"{name} must hold indices 0..{vertex_count - 1}, but holds {faces.min()}..{faces.max()}"
        )
    return faces.astype(np.int64)
