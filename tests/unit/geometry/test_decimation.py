"""Fewer triangles for the same surface and atlas."""

import numpy as np
import pytest

from facemill.geometry.closest_point import closest_points
from facemill.geometry.decimation import coarsened, decimate
from facemill.geometry.mesh import Mesh, boundary_edges

COUNT = 41


def dome(cut: bool) -> Mesh:
    """Part of a sphere of 50 over a square; with `cut` its atlas is two islands, with a seam at x = 0."""
    line = np.linspace(-20, 20, COUNT)
    x, y = np.meshgrid(line, line)
    points = np.stack([x, y, np.sqrt(2500 - x**2 - y**2)], axis=-1).reshape(-1, 3)
    corner = np.arange(COUNT * COUNT).reshape(COUNT, COUNT)
    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]
    triangles = np.concatenate([np.stack(t, -1).reshape(-1, 3) for t in ([a, b, c], [a, c, d])])
    uv = (points[:, :2] + 20) / 100  # 0 .. 0.4
    if not cut:
        return Mesh(points, triangles, None, uv, triangles)
    right = points[triangles, 0].mean(axis=1) > 0
    places = np.concatenate([uv, uv + [0.5, 0.5]])
    return Mesh(points, triangles, None, places, triangles + right[:, None] * len(uv))


def uv_error(mesh: Mesh, islands: bool) -> float:
    """Largest distance of an atlas place from where `dome` puts the corner's position."""
    corners = mesh.vertices[mesh.triangles]
    expected = (corners[..., :2] + 20) / 100
    found = mesh.uv[mesh.uv_triangles]
    if islands:
        inside = (found > 0.49).all(axis=-1)
        assert (inside.all(axis=1) | ~inside.any(axis=1)).all()  # no triangle joins the two islands
        expected = expected + 0.5 * inside[..., None]
    return float(np.abs(found - expected).max())


def test_the_surface_stays_with_a_fifth_of_the_triangles():
    mesh = dome(False)
    small = decimate(mesh, len(mesh.triangles) // 5)
    assert 0.9 * len(mesh.triangles) // 5 <= len(small.triangles) <= len(mesh.triangles) // 5
    assert closest_points(mesh.vertices, small.vertices, small.triangles).distances.max() < 0.2
    assert uv_error(small, False) < 0.005


@pytest.mark.parametrize("split", [False, True])
def test_nothing_opens_along_a_seam(split):
    mesh = dome(True)
    if split:  # as files without corners of their own have it
        vertices = np.concatenate([mesh.vertices, mesh.vertices])
        mesh = Mesh(vertices, mesh.uv_triangles, None, mesh.uv, mesh.uv_triangles)
    small = decimate(mesh, len(mesh.triangles) // 4)
    border = small.vertices[boundary_edges(small.triangles)][..., :2]
    assert (np.abs(border).max(axis=-1) > 15).all()  # only around the square
    assert uv_error(small, True) < 0.03


def test_small_meshes_and_those_that_cannot_be_decimated_stay():
    mesh = dome(False)
    assert decimate(mesh, len(mesh.triangles)) is mesh
    fan = Mesh(np.random.default_rng(0).normal(size=(5, 3)), np.array([[0, 1, 2], [0, 1, 3], [0, 1, 4]]))
    assert decimate(fan, 1) is fan
    plain = decimate(Mesh(mesh.vertices, mesh.triangles), 500)
    assert plain.uv is None and len(plain.triangles) <= 500


@pytest.mark.parametrize("cut", [False, True])
def test_a_refined_mesh_is_sampled_at_the_places_of_the_coarse_one(cut):
    coarse = dome(cut)
    means, table = midpoints(coarse.triangles, len(coarse.vertices))
    uv_means, uv_table = midpoints(coarse.uv_triangles, len(coarse.uv))
    moved = means @ coarse.vertices + [0, 0, 7.0]
    fine = Mesh(moved, table, None, uv_means @ coarse.uv, uv_table)
    found = coarsened(fine, coarse)
    assert np.allclose(found.vertices[found.triangles], coarse.vertices[coarse.triangles] + [0, 0, 7.0])
    assert np.allclose(found.uv[found.uv_triangles], coarse.uv[coarse.uv_triangles])
    shifted = Mesh(coarse.vertices, coarse.triangles, None, coarse.uv + 0.003, coarse.uv_triangles)
    assert coarsened(fine, shifted) is None
    assert coarsened(Mesh(moved, table), coarse) is None


def midpoints(triangles, count):
    """Every triangle cut into four: (count + edges, count) means, and triangles."""
    sides = np.sort(
        np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1
    )
    pairs, number = np.unique(sides, axis=0, return_inverse=True)
    means = np.zeros((count + len(pairs), count))
    means[:count] = np.eye(count)
    means[count + np.arange(len(pairs))[:, None], pairs] = 0.5
    ab, bc, ca = count + number.reshape(3, -1)
    a, b, c = triangles.T
    parts = ([a, ab, ca], [ab, b, bc], [ca, bc, c], [ab, bc, ca])
    return means, np.concatenate([np.stack(part, axis=1) for part in parts])
