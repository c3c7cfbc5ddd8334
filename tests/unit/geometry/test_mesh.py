"""Normals by hand and on a sphere, connectivity of small meshes, Laplacians."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck
from torch.testing import assert_close

from facemill.geometry import mesh as m
from facemill.geometry.primitives import sphere, square, torus
from facemill.geometry.rotation import matrix_from_axis_angle

# A square and a small flap of area 0.5 that stands up along its right edge.
VERTICES = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [1, 0, -1]], dtype=torch.float64)
TRIANGLES = torch.tensor([[0, 1, 2], [0, 2, 3], [1, 4, 2]])


def test_triangle_normals_point_to_the_counter_clockwise_side() -> None:
    normals = m.triangle_normals(VERTICES, TRIANGLES)
    assert normals.tolist() == [[0, 0, 1], [0, 0, 1], [1, 0, 0]]
    assert m.triangle_normals(2 * VERTICES, TRIANGLES, unit=False)[2].tolist() == [4, 0, 0]


def test_vertex_normals_by_hand() -> None:
    # Vertex 2 has both halves of the square and the flap: (0, 0, 2) + (1, 0, 0), normalised.
    normals = m.vertex_normals(VERTICES, TRIANGLES)
    assert_close(normals[2], torch.tensor([1.0, 0.0, 2.0], dtype=torch.float64) / 5**0.5)
    stretched = VERTICES * torch.tensor([1.0, 1.0, 3.0], dtype=torch.float64)  # the flap has area 1.5
    by_area = m.vertex_normals(stretched, TRIANGLES, "area")
    assert_close(by_area[1], torch.tensor([3.0, 0.0, 1.0], dtype=torch.float64) / 10**0.5)
    assert_close(m.vertex_normals(stretched, TRIANGLES)[1], torch.tensor([1.0, 0.0, 1.0]).double() / 2**0.5)


def test_sphere_normals_are_its_directions() -> None:
    ball = sphere(50.0, 60, 120)
    vertices = torch.from_numpy(ball.vertices)
    normals = m.vertex_normals(vertices, torch.from_numpy(ball.triangles), "area")
    assert ((normals * vertices / 50).sum(-1) > 0.9995).all()


def test_normals_turn_with_the_mesh_in_batches() -> None:
    ring = torus(sectors=12, sides=7)
    vertices = torch.from_numpy(ring.vertices)
    prepared = m.VertexNormals(ring.triangles, len(vertices))
    turns = matrix_from_axis_angle(torch.tensor([[0.1, 0.7, -0.3], [1.0, 0.0, 0.5]], dtype=torch.float64))
    turned = prepared(vertices @ turns.mT + 100)
    assert_close(turned, prepared(vertices) @ turns.mT)


@pytest.mark.parametrize("weighting", ["uniform", "area"])
def test_gradient(weighting: m.Weighting) -> None:
    prepared = m.VertexNormals(TRIANGLES, 5, weighting)
    batch = torch.stack([VERTICES, VERTICES.flip(0) + 0.1 * VERTICES**2]).requires_grad_()
    assert gradcheck(prepared, batch)


def test_degenerate_triangles_give_zero_and_no_nan() -> None:
    vertices = torch.tensor([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [5, 5, 5]], requires_grad=True)
    normals = m.vertex_normals(vertices, torch.tensor([[0, 1, 2]]))
    assert (normals == 0).all()
    normals.sum().backward()
    assert vertices.grad is not None and torch.isfinite(vertices.grad).all()


def test_connectivity_of_the_flap() -> None:
    triangles = TRIANGLES.numpy()
    assert m.edges(triangles).tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [1, 4], [2, 3], [2, 4]]
    assert {tuple(edge) for edge in m.boundary_edges(triangles).tolist()} == {
        (0, 1), (2, 3), (3, 0), (1, 4), (4, 2)
    }  # fmt: skip
    assert m.adjacency(triangles, 6)[2].indices.tolist() == [0, 1, 3, 4]
    assert m.adjacency(triangles, 6).shape == (6, 6)


def test_closed_surfaces_have_no_boundary_and_the_right_euler_number() -> None:
    for closed, euler in ((sphere(rings=5, sectors=7), 2), (torus(sectors=8, sides=5), 0)):
        assert len(m.boundary_edges(closed.triangles)) == 0
        assert len(closed.vertices) - len(m.edges(closed.triangles)) + len(closed.triangles) == euler
        corners = closed.vertices[closed.triangles]
        assert np.einsum("fi,fi->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() > 0


def test_components_count_lonely_vertices() -> None:
    triangles = np.array([[0, 1, 2], [3, 4, 5]])
    assert m.connected_components(triangles, 7).tolist() == [0, 0, 0, 1, 1, 1, 2]


def test_uniform_laplacian() -> None:
    matrix = m.laplacian(TRIANGLES.numpy(), 6).toarray()
    np.testing.assert_allclose(matrix[4], [0, -0.5, -0.5, 0, 1, 0])
    assert (matrix[5] == 0).all()
    np.testing.assert_allclose(matrix.sum(1), 0, atol=1e-15)


def test_cotangent_laplacian_of_an_equilateral_triangle_and_of_linear_functions() -> None:
    equilateral = np.array([[0.0, 0, 0], [1, 0, 0], [0.5, 3**0.5 / 2, 0]])
    matrix = m.cotangent_laplacian(equilateral, np.array([[0, 1, 2]])).toarray()
    half_cotangent = 0.5 / 3**0.5  # cot 60 degrees / 2
    np.testing.assert_allclose(matrix[0], [2 * half_cotangent, -half_cotangent, -half_cotangent])
    flat = square(9, 7)
    bent = flat.vertices.copy()
    bent[:, :2] += 0.05 * np.sin(17 * bent[:, [1, 0]])
    residual = m.cotangent_laplacian(bent, flat.triangles) @ bent
    border = np.unique(m.boundary_edges(flat.triangles))
    inner = np.setdiff1d(np.arange(len(bent)), border)
    np.testing.assert_allclose(residual[inner], 0, atol=1e-12)
    assert np.abs(residual[border]).max() > 0.01


def test_cotangent_laplacian_ignores_empty_triangles() -> None:
    points = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]])
    assert np.isfinite(m.cotangent_laplacian(points, np.array([[0, 1, 2]])).toarray()).all()


def test_mesh_refuses_what_does_not_fit() -> None:
    vertices, triangles = np.zeros((3, 3)), np.array([[0, 1, 2]])
    with pytest.raises(ValueError, match=r"indices 0\.\.2 of 3 vertices, but holds 1\.\.3; are they 1-based"):
        m.Mesh(vertices, triangles + 1)
    with pytest.raises(ValueError, match="triangles must be integers"):
        m.Mesh(vertices, triangles.astype(float))
    with pytest.raises(ValueError, match=r"vertices must have shape \(N, 3\)"):
        m.Mesh(np.zeros((3, 2)), triangles)
    with pytest.raises(ValueError, match="colors must have shape"):
        m.Mesh(vertices, triangles, colors=np.zeros((2, 3)))
    with pytest.raises(ValueError, match="come together"):
        m.Mesh(vertices, triangles, uv=np.zeros((3, 2)))
    with pytest.raises(ValueError, match="one row for each of the 1 triangles, not 2"):
        m.Mesh(vertices, triangles, uv=np.zeros((3, 2)), uv_triangles=np.repeat(triangles, 2, 0))
    moved = m.Mesh(vertices, triangles).with_vertices(vertices + 1)
    assert (moved.vertices == 1).all() and (vertices == 0).all()


def test_vertex_normals_name_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="weighting must be"):
        m.VertexNormals(TRIANGLES, 5, "angle")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"vertices must have shape \(\.\.\., 5, 3\), not \(4, 3\)"):
        m.VertexNormals(TRIANGLES, 5)(VERTICES[:4])
