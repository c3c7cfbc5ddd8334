"""The surface in a grid of distances: planes and spheres are known."""

import numpy as np
import pytest

from facemill.geometry.mesh import boundary_edges, edges
from facemill.geometry.surface_nets import surface_nets


def grid(shape=(24, 26, 28)):
    return np.stack(np.meshgrid(*(np.arange(n, dtype=float) for n in shape), indexing="ij"), axis=-1)


def everywhere(distances):
    return np.ones(distances.shape, bool)


def volume(surface):
    a, b, c = surface.vertices[surface.triangles].transpose(1, 0, 2)
    return float((a * np.cross(b, c)).sum() / 6)


def test_sphere():
    radius, centre = 8.3, np.array([11.2, 12.7, 13.1])
    distances = np.linalg.norm(grid() - centre, axis=-1) - radius
    surface = surface_nets(distances, everywhere(distances))
    # The mean of crossings lies inside the sphere by at most the sagitta of a cell: 3 / (8 r).
    off = np.linalg.norm(surface.vertices - centre, axis=1) - radius
    assert np.abs(off).max() < 3 / (8 * radius) and off.std() < 0.03
    assert not len(boundary_edges(surface.triangles))
    euler = len(surface.vertices) - len(edges(surface.triangles)) + len(surface.triangles)
    assert euler == 2
    assert volume(surface) == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.02)  # positive: faces outwards


def test_vertices_of_a_plane_lie_on_it_and_it_ends_where_the_grid_ends():
    normal = np.array([0.48, 0.6, 0.64])
    distances = grid() @ normal - 21.0
    surface = surface_nets(distances, everywhere(distances))
    assert np.abs(surface.vertices @ normal - 21.0).max() < 1e-12
    a, b, c = surface.vertices[surface.triangles].transpose(1, 0, 2)
    assert (np.cross(b - a, c - a) @ normal > 0).all()
    assert len(boundary_edges(surface.triangles))


def test_nothing_is_made_up_where_nothing_is_known():
    distances = grid()[..., 2] - 10.4
    known = everywhere(distances)
    known[10:14, 10:14] = False
    surface = surface_nets(np.where(known, distances, np.nan), known)
    hole = (np.abs(surface.vertices[:, :2] - 11.5) < 2).all(axis=1)
    assert not hole.any() and np.isfinite(surface.vertices).all()
    assert np.allclose(surface.vertices[:, 2], 10.4)
    # 23 x 25 cells of one vertex each, without the 5 x 5 that touch an unknown corner
    assert len(surface.vertices) == 23 * 25 - 25


def test_no_surface_and_wrong_shapes():
    nothing = surface_nets(np.ones((4, 4, 4)), np.ones((4, 4, 4), bool))
    assert nothing.vertices.shape == (0, 3) and nothing.triangles.shape == (0, 3)
    with pytest.raises(ValueError, match="share a shape"):
        surface_nets(np.ones((4, 4, 4)), np.ones((4, 4, 5), bool))
