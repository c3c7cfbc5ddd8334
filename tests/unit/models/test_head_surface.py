"""The mixed surface: closed, one-to-one with full subdivision, and linear."""

import numpy as np
import pytest

from facemill.geometry.subdivision import subdivision_operator
from facemill.geometry.uv import boundary_loops
from facemill.models.head_surface import mixed_surface


def grid(columns: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """A wavy sheet of quads, counter-clockwise seen from +z."""
    x, y = np.meshgrid(np.arange(columns + 1.0), np.arange(rows + 1.0), indexing="xy")
    points = np.stack([x.ravel(), y.ravel(), np.sin(x.ravel()) + 0.3 * np.cos(2 * y.ravel())], axis=1)
    corner = (np.arange(rows)[:, None] * (columns + 1) + np.arange(columns)).ravel()
    quads = np.stack([corner, corner + 1, corner + columns + 2, corner + columns + 1], axis=1)
    return points, quads


POINTS, QUADS = grid(5, 4)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 1.0])
def test_no_crack_opens_between_the_levels(share):
    refined = np.random.default_rng(7).random(len(QUADS)) < share
    surface = mixed_surface(QUADS, refined, len(POINTS))
    triangles = surface.triangles
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    assert len(np.unique(edges, axis=0)) == len(edges)  # each directed edge once
    borders = boundary_loops(triangles)
    assert len(borders) == 1  # a crack would be a border of its own
    rim = QUADS[[0, 4, 19, 15], [0, 1, 2, 3]]
    assert np.isin(np.flatnonzero(np.isin(surface.level1_of, rim)), borders[0]).all()


def test_vertices_lie_on_the_surface_of_full_subdivision():
    refined = np.zeros(len(QUADS), dtype=bool)
    refined[[6, 7, 12]] = True
    full = subdivision_operator(QUADS, len(POINTS), levels=2).operator @ POINTS
    mixed = mixed_surface(QUADS, refined, len(POINTS)).operator @ POINTS
    distance = np.linalg.norm(mixed[:, None] - full[None], axis=2).min(axis=1)
    assert distance.max() < 1e-12


def test_all_refined_is_full_subdivision():
    surface = mixed_surface(QUADS, np.ones(len(QUADS), dtype=bool), len(POINTS))
    full = subdivision_operator(QUADS, len(POINTS), levels=2)
    assert len(surface.triangles) == 2 * len(full.faces) == 32 * len(QUADS)
    assert surface.operator.shape == full.operator.shape


def test_triangles_face_the_way_the_quads_do_and_know_their_quad():
    refined = np.arange(len(QUADS)) % 3 == 0
    surface = mixed_surface(QUADS, refined, len(POINTS))
    flat = POINTS * [1, 1, 0]
    points = surface.operator @ flat
    a, b, c = (points[surface.triangles[:, corner]] for corner in range(3))
    assert (np.cross(b - a, c - a)[:, 2] > 0).all()
    centres = (points[surface.triangles].mean(axis=1)[:, :2]).astype(int)
    inner = (centres > 0).all(axis=1) & (centres[:, 0] < 4) & (centres[:, 1] < 3)  # the rim is drawn in
    assert (surface.triangle_quads[inner] == centres[inner, 1] * 5 + centres[inner, 0]).all()


def test_the_middle_operator_starts_from_level_one():
    surface = mixed_surface(QUADS, np.arange(len(QUADS)) % 2 == 0, len(POINTS))
    by_steps = surface.middle_operator @ (surface.base_operator @ POINTS)
    np.testing.assert_allclose(by_steps, surface.operator @ POINTS, atol=1e-12)
    np.testing.assert_allclose(np.asarray(surface.operator.sum(axis=1)).ravel(), 1.0)
    assert (surface.level1_of >= 0).sum() == surface.base_operator.shape[0]


def test_a_flag_per_quad_is_asked_for():
    with pytest.raises(ValueError, match=r"refined: expected shape \(20,\), found \(3,\)"):
        mixed_surface(QUADS, np.ones(3, dtype=bool), len(POINTS))
