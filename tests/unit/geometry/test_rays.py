"""Rays against a surface."""

import numpy as np
import pytest

from facemill.geometry.rays import RaySurface

SQUARE = np.array([[0.0, 0, 0], [4, 0, 0], [4, 4, 0], [0, 4, 0]])
TRIANGLES = np.array([[0, 1, 2], [0, 2, 3]])


def test_first_meeting_from_either_side_and_none():
    lifted = SQUARE + [0, 0, 2]
    surface = RaySurface(np.concatenate([SQUARE, lifted]), np.concatenate([TRIANGLES, TRIANGLES + 4]))
    origins = np.array([[3.0, 1, 7], [1, 3, -1], [9, 9, 1]])
    hits = surface.first_hits(origins, np.array([[0.0, 0, -1], [0, 0, 1], [0, 0, 1]]))
    assert np.array_equal(hits.distances, [5.0, 1.0, np.inf])
    assert hits.triangle_ids.tolist() == [2, 1, -1]


def test_no_ray_no_hit():
    assert len(RaySurface(SQUARE, TRIANGLES).first_hits(np.empty((0, 3)), np.empty((0, 3))).distances) == 0


@pytest.mark.parametrize(
    ("vertices", "triangles", "words"),
    [
        (SQUARE, np.empty((0, 3), int), "triangles is empty"),
        (SQUARE * [1, np.nan, 1], TRIANGLES, "vertices must be finite"),
        (SQUARE, TRIANGLES + 1, "indices 0..3"),
    ],
)
def test_what_is_no_surface_is_said(vertices, triangles, words):
    with pytest.raises(ValueError, match=words):
        RaySurface(vertices, triangles)
