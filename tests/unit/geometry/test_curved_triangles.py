"""Curved patches: corners stay, neighbours meet, a coarse ball becomes round."""

import numpy as np
import pytest

from facemill.geometry.curved_triangles import curved_points
from facemill.geometry.primitives import sphere


@pytest.fixture(scope="module")
def coarse():
    """Corners (F, 3, 3) of a sphere of radius 1 and its vertices' numbers (F, 3)."""
    mesh = sphere(1.0, 12, 24)
    triangles = np.asarray(mesh.triangles)
    return np.asarray(mesh.vertices, dtype=np.float64)[triangles], triangles


def test_corners_stay_and_neighbours_meet(coarse):
    corners, triangles = coarse
    first = np.tile([1.0, 0, 0], (len(corners), 1))
    assert np.allclose(curved_points(corners, corners, first), corners[:, 0])
    number = len(corners) // 2
    a, b, c = triangles[number]
    beside = next(k for k, t in enumerate(triangles) if {a, b} <= set(t.tolist()) and c not in t)
    share = np.where(triangles[beside] == a, 0.3, np.where(triangles[beside] == b, 0.7, 0.0))
    one = curved_points(corners[[number]], corners[[number]], np.array([[0.3, 0.7, 0.0]]))
    other = curved_points(corners[[beside]], corners[[beside]], share[None])
    assert np.allclose(one, other) and np.linalg.norm(one) > 0.999


def test_a_coarse_ball_becomes_round(coarse):
    corners = coarse[0]
    weights = np.random.default_rng(0).dirichlet([1, 1, 1], len(corners))
    flat = (corners * weights[..., None]).sum(axis=1)
    curved = curved_points(corners, corners, weights)
    off = [np.abs(np.linalg.norm(points, axis=1) - 1).max() for points in (flat, curved)]
    assert off[0] > 0.01 and off[1] < off[0] / 20
