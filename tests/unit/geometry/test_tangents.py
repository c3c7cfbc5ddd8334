"""Tangent frames: directions of u and v, mirrored charts, lost charts."""

import numpy as np
import pytest

from facemill.geometry.tangents import tangent_frames

#: A square in the plane x = 2, seen from +x, with y to the right and z up there.
SQUARE = np.array([[2.0, 0, 0], [2, 3, 0], [2, 3, 3], [2, 0, 3]])
NORMALS = np.tile([1.0, 0, 0], (4, 1))
CORNERS = np.array([[0, 1, 2], [0, 2, 3]])
UV = np.array([[0.1, 0.2], [0.4, 0.2], [0.4, 0.5], [0.1, 0.5]])


def test_the_axes_point_to_growing_u_and_v():
    frames = tangent_frames(SQUARE, NORMALS, UV, CORNERS)
    np.testing.assert_allclose(frames.tangents, np.tile([0, 1, 0], (4, 1)), atol=1e-12)
    np.testing.assert_allclose(frames.bitangents(NORMALS), np.tile([0, 0, 1], (4, 1)), atol=1e-12)
    assert (frames.signs == 1).all()


def test_a_mirrored_chart_has_the_other_sign():
    frames = tangent_frames(SQUARE, NORMALS, UV * [-1, 1], CORNERS)
    np.testing.assert_allclose(frames.tangents, np.tile([0, -1, 0], (4, 1)), atol=1e-12)
    assert (frames.signs == -1).all()
    np.testing.assert_allclose(frames.bitangents(NORMALS), np.tile([0, 0, 1], (4, 1)), atol=1e-12)


def test_a_turned_chart_turns_the_axes():
    frames = tangent_frames(SQUARE, NORMALS, UV[:, ::-1] * [-1, 1], CORNERS)  # u = -z, v = y
    np.testing.assert_allclose(frames.tangents, np.tile([0, 0, -1], (4, 1)), atol=1e-12)


def test_tangents_lie_across_the_normals():
    leaning = NORMALS + [[0, 0.3, -0.2]]
    leaning /= np.linalg.norm(leaning, axis=1, keepdims=True)
    frames = tangent_frames(SQUARE, leaning, UV, CORNERS)
    np.testing.assert_allclose((frames.tangents * leaning).sum(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(frames.tangents, axis=1), 1)


def test_corners_count_by_their_angle():
    """Vertex 0 of two triangles, 45 and 90 degrees, whose u runs to +x and to +y."""
    points = np.array([[0.0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 5, 0], [-5, 0, 0]])
    uv = np.array([[0.0, 0.0], [0.2, 0.0], [0.2, 0.2], [0.5, 0.0], [0.0, 0.5]])
    corners = np.array([[0, 1, 2], [0, 3, 4]])
    frames = tangent_frames(points, np.tile([0.0, 0, 1], (5, 1)), uv, corners)
    np.testing.assert_allclose(frames.tangents[0], np.array([1, 2, 0]) / np.sqrt(5), atol=1e-12)


@pytest.mark.parametrize("uv", [np.zeros((4, 2)), UV])
def test_lost_charts_get_any_unit_tangent(uv):
    frames = tangent_frames(SQUARE, NORMALS, uv, CORNERS if uv.any() else CORNERS[:1])
    np.testing.assert_allclose(np.linalg.norm(frames.tangents, axis=1), 1)
    np.testing.assert_allclose((frames.tangents * NORMALS).sum(axis=1), 0, atol=1e-12)
