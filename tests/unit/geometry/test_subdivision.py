"""Catmull-Clark and midpoint subdivision against hand-worked rules."""

import numpy as np
import pytest

from facemill.geometry.mesh import boundary_edges, edges
from facemill.geometry.subdivision import midpoint_subdivision, subdivision_operator, triangles_from_quads

# Corners x, y, z in {-1, 1}, numbered 4 [x > 0] + 2 [y > 0] + [z > 0]; faces seen from outside.
CUBE = np.array(np.meshgrid([-1.0, 1], [-1.0, 1], [-1.0, 1], indexing="ij")).reshape(3, 8).T
CUBE_QUADS = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])


def plane_quads(columns: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    index = np.arange(rows * columns).reshape(rows, columns)
    quads = np.stack([index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]], -1).reshape(-1, 4)
    x, y = np.meshgrid(np.arange(columns, dtype=float), np.arange(rows, dtype=float))
    return np.stack([x.ravel(), y.ravel()], axis=1), quads


def test_cube_by_hand() -> None:
    operator, quads = subdivision_operator(CUBE_QUADS, 8)
    points = operator @ CUBE
    assert points.shape == (8 + 12 + 6, 3) and quads.shape == (24, 4)
    # Corner (1,1,1): (Q + 2 R) / 3 with Q = mean of face centres = 1/3, R = mean of edge midpoints = 2/3.
    np.testing.assert_allclose(points[7], [5 / 9, 5 / 9, 5 / 9])
    # Edge point of (1,1,-1)-(1,1,1): mean of (1,1,0) and the face centres (1,0,0), (0,1,0).
    np.testing.assert_allclose(sorted(np.abs(points[8]).tolist()), [0, 0.75, 0.75])
    np.testing.assert_allclose(np.abs(points[20:]).sum(1), 1)


def test_rows_sum_to_one_and_orientation_stays() -> None:
    operator, quads = subdivision_operator(CUBE_QUADS, 8, levels=2)
    np.testing.assert_allclose(np.asarray(operator.sum(axis=1)).ravel(), 1, atol=1e-12)
    triangles = triangles_from_quads(quads)
    points = operator @ CUBE
    assert len(boundary_edges(triangles)) == 0
    a, b, c = (points[triangles[:, k]] for k in range(3))
    assert (np.einsum("fi,fi->f", a + b + c, np.cross(b - a, c - a)) > 0).all()
    assert len(points) - len(edges(triangles)) + len(triangles) == 2


def test_levels_compose() -> None:
    once, quads = subdivision_operator(CUBE_QUADS, 8)
    twice = subdivision_operator(quads, once.shape[0]).operator @ once
    np.testing.assert_allclose(
        twice.toarray(), subdivision_operator(CUBE_QUADS, 8, levels=2).operator.toarray(), atol=1e-14
    )
    none = subdivision_operator(CUBE_QUADS, 8, levels=0)
    np.testing.assert_array_equal(none.operator @ CUBE, CUBE)


def test_a_regular_plane_keeps_its_lattice_and_the_border_is_a_spline() -> None:
    vertices, quads = plane_quads(4, 4)
    points = subdivision_operator(quads, 16).operator @ vertices
    np.testing.assert_allclose(points[5], [1, 1], atol=1e-14)  # inner vertex of a regular lattice
    np.testing.assert_allclose(points[1], [1, 0], atol=1e-14)  # straight border
    np.testing.assert_allclose(points[0], [0.125, 0.125], atol=1e-14)  # corner: 6/8, 1/8, 1/8


def test_plain_means_for_texture_coordinates_keep_the_outline() -> None:
    vertices, quads = plane_quads(3, 2)
    operator, finer = subdivision_operator(quads, 6, smooth=False)
    points = operator @ vertices
    np.testing.assert_array_equal(points[:6], vertices)
    assert points.min(0).tolist() == [0, 0] and points.max(0).tolist() == [2, 1]
    # Faces correspond row by row with the smooth ones.
    np.testing.assert_array_equal(finer, subdivision_operator(quads, 6).faces)


def test_vertex_of_no_face_and_border_pinch_stay() -> None:
    vertices = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1], [2, 1], [2, 2], [1, 2], [9, 9]])
    operator = subdivision_operator(np.array([[0, 1, 2, 3], [2, 4, 5, 6]]), 8).operator
    np.testing.assert_allclose((operator @ vertices)[[2, 7]], vertices[[2, 7]])


def test_midpoints_keep_the_surface() -> None:
    vertices = np.array([[0.0, 0], [2, 0], [0, 2]])
    operator, triangles = midpoint_subdivision(np.array([[0, 1, 2]]), 3)
    points = operator @ vertices
    assert sorted(map(tuple, points[3:].tolist())) == [(0, 1), (1, 0), (1, 1)]
    a, b, c = (points[triangles[:, k]] for k in range(3))
    ab, ac = b - a, c - a
    np.testing.assert_allclose((ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]) / 2, 0.5)
    assert midpoint_subdivision(np.array([[0, 1, 2]]), 3, levels=3).faces.shape == (64, 3)


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"quads must be integers of shape \(F, 4\)"):
        subdivision_operator(np.zeros((2, 3), int), 5)
    with pytest.raises(ValueError, match=r"indices 0\.\.6, but holds 0\.\.7"):
        subdivision_operator(CUBE_QUADS, 7)
    with pytest.raises(ValueError, match="levels must be 0 or more"):
        subdivision_operator(CUBE_QUADS, 8, levels=-1)
    with pytest.raises(ValueError, match="levels must be 0 or more"):
        midpoint_subdivision(np.array([[0, 1, 2]]), 3, levels=-1)
    with pytest.raises(ValueError, match=r"edge \[0, 1\] belongs to 3 faces"):
        subdivision_operator(np.array([[0, 1, 2, 3], [1, 0, 4, 5], [0, 1, 6, 7]]), 8)
