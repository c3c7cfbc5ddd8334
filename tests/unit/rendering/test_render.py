"""Whole pictures: a lit sphere against its closed form, backgrounds, gradients, pictures for people."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from facemill.geometry.camera import deep3d_crop_camera, project
from facemill.geometry.mesh import vertex_normals
from facemill.geometry.primitives import sphere, torus
from facemill.rendering.render import render, render_geometry, turned_camera

BALL = sphere(90.0, 60, 90)
VERTICES = torch.from_numpy(BALL.vertices)[None]
TRIANGLES = torch.from_numpy(BALL.triangles)
CAMERA = deep3d_crop_camera(dtype=torch.float64)
SIZE = (224, 224)


def test_lit_sphere_matches_its_closed_form() -> None:
    lighting = torch.zeros(1, 27, dtype=torch.float64)
    lighting[0, 2], lighting[0, 10], lighting[0, 21] = 0.3, -0.2, -0.1
    albedo = torch.tensor([0.9, 0.6, 0.3], dtype=torch.float64).expand(VERTICES.shape[1], 3)
    found = render(VERTICES, TRIANGLES, albedo, CAMERA, SIZE, lighting)
    # Where the ray of a pixel meets the true sphere, the normal is the direction from the centre.
    rows, columns = torch.nonzero(found.mask[0], as_tuple=True)
    rays = torch.stack(
        [(columns - 112) / 1015, -(rows - 111) / 1015, -torch.ones(len(rows))], dim=-1
    ).double()
    eye = torch.tensor([0.0, 0.0, 1000.0], dtype=torch.float64)
    half, square = rays @ eye, (rays * rays).sum(-1)
    inside = half**2 - square * (1000**2 - 90**2)
    well_inside = inside > 0.1 * half.abs().max()  # away from the outline
    way = (-half - torch.sqrt(inside.clamp(min=0))) / square
    normal = ((eye + way[:, None] * rays) / 90)[well_inside]
    slopes = torch.tensor([0.3, 0.2, 0.1], dtype=torch.float64)
    irradiance = 0.8 * math.sqrt(math.pi) / 2 + math.sqrt(math.pi) * slopes * normal[:, [2, 1, 0]]
    expected = irradiance * torch.tensor([0.9, 0.6, 0.3], dtype=torch.float64)
    assert len(expected) > 20_000
    # The mesh is a polyhedron of 60 x 90 flat pieces; near the outline that leaves 0.4 %.
    assert_close(found.image[0][rows, columns][well_inside], expected, rtol=0, atol=5e-3)
    assert_close(found.normals[0][rows, columns][well_inside], normal, rtol=0, atol=1e-2)
    assert_close(found.depth[0][rows, columns][well_inside], way[well_inside], rtol=1e-3, atol=0)


def test_outside_the_mask_there_is_background_infinite_depth_and_no_normal() -> None:
    albedo = torch.full((1, VERTICES.shape[1], 3), 0.5, dtype=torch.float64)
    photo = torch.rand(1, 224, 224, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for background, expected in (
        (None, torch.zeros(1, 224, 224, 3).double()),
        (photo, photo),
        (torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.1, 0.2, 0.3]).double().expand(1, 224, 224, 3)),
    ):
        found = render(VERTICES, TRIANGLES, albedo, CAMERA, SIZE, background=background)
        outside = ~found.mask
        assert_close(found.image[outside], expected[outside].to(found.image))
        assert_close(found.image[found.mask], torch.full_like(found.image[found.mask], 0.5))
        assert torch.isinf(found.depth[outside]).all() and (found.normals[outside] == 0).all()


def test_gradients_reach_everything_and_are_finite() -> None:
    vertices = VERTICES.repeat(2, 1, 1).requires_grad_()
    albedo = torch.full(vertices.shape, 0.5, dtype=torch.float64, requires_grad=True)
    lighting = torch.full((2, 27), 0.05, dtype=torch.float64, requires_grad=True)
    found = render(vertices, TRIANGLES, albedo, CAMERA, SIZE, lighting)
    found.image.sum().backward(retain_graph=True)
    for tensor in (vertices, albedo, lighting):
        assert tensor.grad is not None and torch.isfinite(tensor.grad).all() and (tensor.grad != 0).any()
    vertices.grad = None
    found.depth[0, 111, 112].backward()
    assert vertices.grad is not None
    # On the optical axis: all vertices one millimetre nearer, the depth one millimetre less.
    assert vertices.grad[..., 2].sum().item() == pytest.approx(-1.0, abs=1e-9)


def test_given_normals_are_used() -> None:
    albedo = torch.ones(1, VERTICES.shape[1], 3, dtype=torch.float64)
    lighting = torch.zeros(1, 27, dtype=torch.float64)
    lighting[0, [2, 11, 20]] = 0.3
    own = render(VERTICES, TRIANGLES, albedo, CAMERA, SIZE, lighting)
    given = render(VERTICES, TRIANGLES, albedo, CAMERA, SIZE, lighting, vertex_normals(VERTICES, TRIANGLES))
    turned = render(VERTICES, TRIANGLES, albedo, CAMERA, SIZE, lighting, -vertex_normals(VERTICES, TRIANGLES))
    assert_close(own.image, given.image)
    assert (turned.image - own.image).abs().max() > 0.5


def test_geometry_picture_is_lit_from_the_upper_left_and_smooth_at_the_outline() -> None:
    size = (120, 160)
    camera = CAMERA.cropped(torch.tensor([[0.5, 0, 24], [0, 0.5, 4.5], [0, 0, 1]]))
    picture = render_geometry(VERTICES[0], TRIANGLES, camera, size)
    assert picture.shape == (120, 160, 3) and picture.dtype == np.float32
    assert (picture[0, 0] == 1).all()
    assert picture[40, 60].mean() > picture[80, 100].mean() + 0.1
    jagged = render_geometry(VERTICES[0], TRIANGLES, camera, size, supersampling=1)
    assert len(np.unique(picture)) > len(np.unique(jagged))
    np.testing.assert_allclose(picture[55:65, 75:85], jagged[55:65, 75:85], atol=0.02)


def test_turned_camera_shows_the_nose_where_documented() -> None:
    nose = torch.tensor([[0.0, 0.0, 90.0]], dtype=torch.float64)
    straight = project(nose, CAMERA).pixels[0]
    right = project(nose, turned_camera(CAMERA, yaw_degrees=30)).pixels[0]
    down = project(nose, turned_camera(CAMERA, 0, pitch_degrees=30)).pixels[0]
    assert right[0] > straight[0] + 30 and right[1] == pytest.approx(straight[1].item())
    assert down[1] > straight[1] + 30 and down[0] == pytest.approx(straight[0].item())
    pivot = torch.tensor([5.0, 6.0, 7.0], dtype=torch.float64)
    about = turned_camera(CAMERA, 40, 10, about=pivot)
    assert_close(project(pivot[None], about).pixels, project(pivot[None], CAMERA).pixels)


def test_a_torus_hides_nothing_of_its_hole() -> None:
    ring = torus()
    picture = render_geometry(torch.from_numpy(ring.vertices), torch.from_numpy(ring.triangles), CAMERA, SIZE)
    assert (picture[111, 112] == 1).all() and (picture[111, 112 + 60] < 1).all()


def test_wrong_shape_is_named() -> None:
    with pytest.raises(ValueError, match=r"vertices must have shape \(B, V, 3\)"):
        render(VERTICES[0], TRIANGLES, VERTICES, CAMERA, SIZE)
