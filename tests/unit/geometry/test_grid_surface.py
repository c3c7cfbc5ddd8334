"""Meshes of surfaces that are given texel by texel."""

import numpy as np

from facemill.geometry.grid_surface import grid_mesh


def plane(height=4, width=5):
    """Points 1 mm apart, x to the right, y up, seen from +z."""
    rows, columns = np.mgrid[:height, :width].astype(float)
    points = np.stack([columns, -rows, 0 * rows], axis=-1)
    return points, np.broadcast_to(np.array([0.0, 0.0, 1.0]), points.shape)


def facing(mesh):
    a, b, c = (mesh.vertices[mesh.triangles[:, k]] for k in range(3))
    return np.cross(b - a, c - a)


def test_every_square_of_the_mask_is_two_triangles_that_face_outwards():
    points, normals = plane()
    mask = np.ones((4, 5), dtype=bool)
    mask[0, 0] = False
    mesh = grid_mesh(points, normals, mask, 8, (2, 1))
    assert len(mesh.triangles) == 2 * (3 * 4 - 1) and len(mesh.vertices) == 19
    assert np.allclose(facing(mesh), [0, 0, 1])
    # the texel in row 1, column 0 of the window is row 3, column 1 of the map
    where = np.flatnonzero((mesh.vertices == points[1, 0]).all(axis=1))
    assert np.allclose(mesh.uv[where[0]], [(1 + 0.5) / 8, 1 - (3 + 0.5) / 8])


def test_triangles_follow_the_normals_of_a_mirrored_atlas():
    points, normals = plane()
    mesh = grid_mesh(points, -normals, np.ones((4, 5), dtype=bool), 8, (0, 0))
    assert np.allclose(facing(mesh), [0, 0, -1])


def test_islands_that_touch_are_not_joined():
    points, normals = plane(4, 6)
    points[:, 3:, 0] += 50.0
    mesh = grid_mesh(points, normals, np.ones((4, 6), dtype=bool), 8, (0, 0))
    assert len(mesh.triangles) == 2 * 3 * (2 + 2)


def test_a_mask_without_a_square_gives_no_triangle():
    points, normals = plane()
    mesh = grid_mesh(points, normals, np.zeros((4, 5), dtype=bool), 8, (0, 0))
    assert len(mesh.vertices) == len(mesh.triangles) == 0
