"""Where views see patches of a displaced surface, and what they read there."""

import numpy as np
import torch
from torch.testing import assert_close

from facemill.geometry.camera import project
from facemill.multiview.implicit.projection import (
    ViewFeatures,
    best_views,
    places_of,
    project_patches,
    sample_patches,
    sample_views,
    tap_offsets,
)
from facemill.multiview.implicit.pyramid import halved, halved_matrix
from facemill.multiview.implicit.scales import halvings_of, scale_of
from facemill.multiview.implicit.spec import PUBLISHED
from facemill.multiview.pixel_sizes import pixel_size, pixel_size_of
from unit.multiview.implicit.plane_toys import SMALL, camera_at, plane_grid, plane_views, small_network


def one_place(weights=((0.9, 0.0, 0.5),)):
    """A texel at (3, 4, 0), normal +z, seen by two of three views."""
    return places_of(np.array([[3.0, 4.0, 0.0]]), np.array([[0.0, 0.0, 1.0]]), np.array(weights))


def test_axes_are_perpendicular_whatever_the_normal():
    random = np.random.default_rng(0)
    normals = random.normal(size=(50, 3))
    normals[0], normals[1] = [1.0, 0, 0], [0, 1.0, 0]
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    places = places_of(np.zeros((50, 3)), normals, np.ones((50, 2)))
    axes = torch.stack((places.across, places.along, places.normal), dim=1)
    assert_close(axes @ axes.mT, torch.eye(3).expand(50, 3, 3), atol=1e-5, rtol=0)
    assert_close(torch.linalg.det(axes), torch.ones(50), atol=1e-5, rtol=0)


def test_patches_land_where_the_camera_sees_them():
    camera = camera_at(25.0, 10.0)
    matrix = camera.intrinsics @ torch.cat((camera.rotation, camera.translation[:, None]), dim=1)
    places, taps = one_place(), tap_offsets(3, 0.5)
    pixels = project_patches(places, matrix.float(), torch.tensor([[0.0, 2.0]]), taps)
    assert pixels.shape == (9, 1, 2, 2)
    across, along = places.across[0].numpy(), places.along[0].numpy()
    for number, displacement in enumerate((0.0, 2.0)):
        for tap, (right, down) in enumerate(taps.numpy()):
            point = np.array([3.0, 4.0, displacement]) + right * across + down * along
            expected = project(torch.tensor(point[None], dtype=torch.float64), camera).pixels[0]
            assert_close(pixels[tap, 0, number].double(), expected, atol=1e-3, rtol=0)


def test_points_behind_a_camera_are_nowhere():
    matrix = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])
    pixels = project_patches(one_place(), matrix, torch.tensor([[-5.0, 5.0]]), tap_offsets(1, 1.0))
    assert torch.isnan(pixels[0, 0, 0]).all()
    assert_close(pixels[0, 0, 1], torch.tensor([0.6, 0.8]))


def test_features_are_read_between_pixels_and_are_nothing_outside():
    features = torch.arange(12.0).reshape(1, 1, 3, 4)  # value 4 row + column
    view = ViewFeatures(features, torch.zeros(3, 4))
    pixels = torch.tensor([[2.0, 1.0], [0.5, 0.25], [3.6, 1.0], [-2.0, 0.0], [torch.nan, 0.0]])
    found = sample_patches(view, pixels.reshape(1, 5, 1, 2))
    assert found.shape == (1, 1, 5, 1)
    # 3.6 is 0.6 of the way from the last column (7) to nothing
    assert_close(found.flatten(), torch.tensor([6.0, 1.5, 0.4 * 7.0, 0.0, 0.0]))


def test_only_views_that_see_are_read():
    matrix = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])  # x, y are pixels; depth 1
    matrix[2, 3] = 2.0
    matrix[:2] *= 2.0
    views = [ViewFeatures(torch.full((1, 2, 9, 9), value), matrix) for value in (5.0, 6.0, 7.0)]
    taps = tap_offsets(1, 1.0)
    two = places_of(np.zeros((2, 3)), np.eye(3)[[2, 2]], np.array([[0.9, 0.0, 0.5], [0.4, 0.0, 0.0]]))
    seen = sample_views(views, two, torch.zeros(2, 4), taps, all_views=False)
    assert seen.features.shape == (2, 2, 1, 2, 4)  # views, channels, taps, texels, displacements
    assert_close(seen.features[:, 0, 0, :, 0], torch.tensor([[5.0, 5.0], [7.0, 0.0]]))
    assert_close(seen.weights, torch.tensor([[0.9, 0.4], [0.5, 0.0]]))
    every = sample_views(views, one_place(), torch.zeros(1, 4), taps, all_views=True)
    assert_close(every.features[:, 0, 0, 0, 0], torch.tensor([5.0, 6.0, 7.0]))
    nobody = sample_views(views, one_place(((0.0, 0.0, 0.0),)), torch.zeros(1, 4), taps, all_views=False)
    assert nobody.features.shape == (0, 2, 1, 1, 4)


def test_best_views_are_kept():
    kept = best_views(np.array([[0.3, 0.9, 0.5, 0.0], [0.2, 0.1, 0.0, 0.0]]), 2)
    assert np.allclose(kept, [[0.0, 0.9, 0.5, 0.0], [0.2, 0.1, 0.0, 0.0]])


def test_halved_pictures_and_their_cameras_agree():
    rows, columns = np.mgrid[:8, :12].astype(np.float32)
    picture = np.stack([columns, rows, 0 * rows], axis=-1)
    small = halved(picture, 2)
    assert small.shape == (2, 3, 3)
    matrix = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])  # pixels are x, y
    reduced = halved_matrix(matrix, 2)
    for x, y in ((1.5, 1.5), (5.5, 1.5), (9.5, 5.5)):
        u, v, _ = reduced @ [x, y, 0, 1]
        assert np.allclose(small[int(v), int(u), :2], [x, y]) and u == int(u) and v == int(v)
    assert halved(picture[:1], 2).shape == (1, 3, 3)  # never to nothing


def test_pixel_size_is_that_of_the_camera():
    views, grid = plane_views(), plane_grid()
    assert abs(pixel_size_of([view.matrix for view in views], grid) - 0.5) < 0.01
    assert np.isnan(pixel_size(np.stack([views[0].matrix]), np.zeros((3, 3)), np.zeros((3, 1))))


def test_features_of_stride_two_lie_over_every_second_pixel():
    network = small_network(0, PUBLISHED)
    view = network.encode(
        torch.rand(1, 3, 20, 20), torch.tensor([[8.0, 0, 0, 4], [0, 8, 0, 2], [0, 0, 1, 0]])
    )
    assert view.features.shape == (1, 128, 10, 10)
    assert_close(view.matrix, torch.tensor([[4.0, 0, 0, 2], [0, 4, 0, 1], [0, 0, 1, 0]]))


def test_scales_double():
    scales = [scale_of(SMALL, 0.25, n) for n in halvings_of(SMALL, 0.25)]
    assert [scale.pixel for scale in scales] == [2.0, 1.0, 0.5, 0.25]
    assert [round(scale.step, 3) for scale in scales] == [0.8, 0.4, 0.2, 0.1]
    assert [round(scale.sigma, 3) for scale in scales] == [1.2, 0.6, 0.3, 0.15]
    assert halvings_of(SMALL, 3.0) == (0,) and halvings_of(PUBLISHED, 0.25) == (0,)
    published = scale_of(PUBLISHED, 0.25, 0)
    assert (published.sigma, published.step) == (1.0, 0.2)
