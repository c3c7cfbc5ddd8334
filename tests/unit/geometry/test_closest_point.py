"""Distances to a triangle worked out by hand, and to a sphere."""

import numpy as np
import pytest

from facemill.geometry.closest_point import closest_points
from facemill.geometry.primitives import sphere

TRIANGLE = np.array([[0.0, 0, 0], [4, 0, 0], [0, 4, 0]]), np.array([[0, 1, 2]])


def test_face_edge_and_corner_by_hand() -> None:
    queries = np.array([[1.0, 1, 3], [2, -5, 0], [-3, -4, 0], [4, 4, 0]])
    found = closest_points(queries, *TRIANGLE)
    np.testing.assert_allclose(found.points, [[1, 1, 0], [2, 0, 0], [0, 0, 0], [2, 2, 0]], atol=1e-12)
    np.testing.assert_allclose(found.squared_distances, [9, 25, 25, 8])
    np.testing.assert_allclose(found.distances[:3], [3, 5, 5])
    assert found.triangle_ids.tolist() == [0, 0, 0, 0]


def test_distances_scale_and_vertices_have_none() -> None:
    ball = sphere(10.0, 12, 20)
    queries = np.random.default_rng(0).normal(size=(50, 3)) * 20
    once, triple = (
        closest_points(queries * k, ball.vertices * k, ball.triangles).distances for k in (1.0, 3.0)
    )
    np.testing.assert_allclose(triple, 3 * once, rtol=1e-9)
    np.testing.assert_allclose(
        closest_points(ball.vertices, ball.vertices, ball.triangles).distances, 0, atol=1e-9
    )


def test_no_query_and_wrong_input() -> None:
    assert closest_points(np.empty((0, 3)), *TRIANGLE).points.shape == (0, 3)
    with pytest.raises(ValueError, match="no surface"):
        closest_points(np.zeros((1, 3)), TRIANGLE[0], np.empty((0, 3), int))
    with pytest.raises(ValueError, match=r"queries must have shape \(N, 3\), not \(3,\)"):
        closest_points(np.zeros(3), *TRIANGLE)
    with pytest.raises(ValueError, match="vertices must be finite numbers; row 1 is"):
        closest_points(np.zeros((1, 3)), np.array([[0.0, 0, 0], [np.nan, 0, 0], [0, 4, 0]]), TRIANGLE[1])
