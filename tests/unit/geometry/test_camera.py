"""The camera: known pixels, invariance, gradients, points behind, error texts."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.testing import assert_close

from facemill.geometry.camera import (
    Camera,
    back_project,
    deep3d_crop_camera,
    inverse_intrinsics,
    mgcnet_crop_camera,
    project,
)
from facemill.geometry.rotation import matrix_from_axis_angle, matrix_from_euler_mgcnet

CAMERA = Camera.at_origin(focal=(1000.0, 900.0), principal=(112.0, 100.0))
POINTS = torch.tensor([[10.0, -20.0, 500.0], [-30.0, 5.0, 700.0]], dtype=torch.float64)

numbers = st.floats(-3, 3)
vectors = st.tuples(numbers, numbers, numbers).map(lambda v: torch.tensor(v, dtype=torch.float64))


def test_point_right_of_and_above_the_axis_lands_right_and_up() -> None:  # 112 + 20, 100 - 36
    projection = project(POINTS, CAMERA)
    assert_close(projection.pixels[0], torch.tensor([132.0, 64.0], dtype=torch.float64))
    assert projection.depth.tolist() == [500.0, 700.0]


def test_skew_moves_u_by_y() -> None:  # u = (1000 * 10 + 50 * -20) / 500 + 112
    intrinsics = CAMERA.intrinsics.clone()
    intrinsics[0, 1] = 50.0
    skewed = Camera(CAMERA.rotation, CAMERA.translation, intrinsics)
    assert project(POINTS, skewed).pixels[0].tolist() == [130.0, 64.0]


@given(axis_angle=vectors, shift=vectors)
def test_moving_world_and_camera_together_changes_nothing(
    axis_angle: torch.Tensor, shift: torch.Tensor
) -> None:
    rotation = matrix_from_axis_angle(axis_angle)
    camera = CAMERA.moved(
        torch.eye(3, dtype=torch.float64), torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    )
    moved = project(POINTS @ rotation.mT + shift, camera.moved(rotation, shift))
    assert_close(moved.pixels, project(POINTS, camera).pixels, rtol=0, atol=1e-8)


def test_gradient() -> None:
    assert gradcheck(lambda p: project(p, CAMERA).pixels, POINTS.clone().requires_grad_())


@pytest.mark.parametrize("depth", [0.0, -5.0])
def test_point_not_before_the_camera_is_nan_and_poisons_no_gradient(depth: float) -> None:
    points = torch.tensor([[1.0, 2.0, depth], [10.0, -20.0, 500.0]], dtype=torch.float64, requires_grad=True)
    pixels = project(points, CAMERA).pixels
    assert torch.isnan(pixels[0]).all() and not torch.isnan(pixels[1]).any()
    pixels[1].sum().backward()
    assert points.grad is not None
    assert points.grad[0].tolist() == [0.0, 0.0, 0.0] and torch.isfinite(points.grad).all()
    summed = torch.nansum(project(points, CAMERA).pixels)
    assert torch.isfinite(torch.autograd.grad(summed, points)[0]).all()


def test_back_projection_undoes_projection_for_a_batch_of_moved_cameras() -> None:
    rotation = matrix_from_axis_angle(torch.tensor([[0.1, 0.2, 0.3], [-0.3, 0.1, 0.0]], dtype=torch.float64))
    shift = torch.tensor([[1.0, 2.0, 30.0], [5.0, 7.0, 11.0]], dtype=torch.float64)
    camera = CAMERA.moved(rotation, shift)
    pixels, depth = project(POINTS.expand(2, 2, 3), camera)
    assert_close(back_project(pixels, depth, camera), POINTS.expand(2, 2, 3))
    assert_close(
        camera.points_in_camera(camera.centre.unsqueeze(-2)), torch.zeros(2, 1, 3, dtype=torch.float64)
    )


def test_extrinsics_are_rotation_and_translation_side_by_side() -> None:
    rotation = matrix_from_axis_angle(torch.tensor([[0.1, 0.2, 0.3], [-0.3, 0.1, 0.0]], dtype=torch.float64))
    camera = CAMERA.moved(rotation, torch.tensor([1.0, 2.0, 30.0], dtype=torch.float64))
    assert camera.extrinsics.shape == (2, 3, 4)
    homogeneous = torch.cat([POINTS, torch.ones_like(POINTS[..., :1])], dim=-1)
    assert_close(homogeneous @ camera.extrinsics.mT, camera.points_in_camera(POINTS.expand(2, -1, 3)))


def test_back_projection_through_a_turning_crop() -> None:
    turned = torch.tensor([[0.8, 0.6, 3.0], [-0.6, 0.8, 100.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    camera = CAMERA.cropped(turned)
    pixels, depth = project(POINTS, camera)
    assert_close(back_project(pixels, depth, camera), POINTS)
    inverse = inverse_intrinsics(camera.intrinsics)
    assert_close(inverse @ camera.intrinsics, torch.eye(3, dtype=torch.float64))
    assert gradcheck(inverse_intrinsics, camera.intrinsics.clone().requires_grad_())


def test_cropped_camera_sees_the_transformed_pixels() -> None:
    half_and_shifted = torch.tensor([[0.5, 0.0, -7.25], [0.0, 0.25, 3.0], [0.0, 0.0, 1.0]])
    pixels = project(POINTS, CAMERA.cropped(half_and_shifted)).pixels
    assert pixels[0].tolist() == [132 * 0.5 - 7.25, 64 * 0.25 + 3]


def test_deep3d_crop_camera_reproduces_its_projection() -> None:
    """Deep3DFaceRecon: decimetres, camera at z = 10, y up, row = 223 - v (util/nvdiffrast, bfm.py)."""
    decimetres = np.array([[0.3, -0.7, 0.5], [-0.9, 0.4, -0.2]])
    distance = 10 - decimetres[:, 2]
    u = 1015 * decimetres[:, 0] / distance + 112
    row = 223 - (1015 * decimetres[:, 1] / distance + 112)
    projection = project(torch.from_numpy(decimetres * 100), deep3d_crop_camera(dtype=torch.float64))
    np.testing.assert_allclose(projection.pixels.numpy(), np.stack([u, row], axis=1), rtol=0, atol=1e-10)
    np.testing.assert_allclose(projection.depth.numpy(), distance * 100)


def test_deep3d_crop_camera_of_another_size_is_the_resized_crop() -> None:
    point = torch.tensor([[30.0, -70.0, 50.0]], dtype=torch.float64)
    small = project(point, deep3d_crop_camera(dtype=torch.float64)).pixels
    large = project(point, deep3d_crop_camera(448, dtype=torch.float64)).pixels
    assert_close(large, (small + 0.5) * 2 - 0.5)


def test_mgcnet_crop_camera_is_its_default_pose() -> None:
    """Pose (rz, ry, rx, t) = (0, 0, pi, 0.174, 9.105, 4994.336) and K = (4700, 112, 112): seeds.md 2.2."""
    camera = mgcnet_crop_camera(torch.float64)
    rotation = matrix_from_euler_mgcnet(torch.tensor([0.0, 0.0, torch.pi], dtype=torch.float64))
    assert_close(camera.rotation, rotation, rtol=0, atol=1e-12)
    theirs = Camera(rotation, torch.tensor([0.17440447, 9.1053238, 4994.3359]).double(), camera.intrinsics)
    head = torch.tensor([[30.0, -20.0, 60.0]], dtype=torch.float64)
    # x = 30.17440447, y = 20 + 9.1053238, z = 4994.3359 - 60.
    u, v = 4700 * 30.17440447 / 4934.3359 + 112, 4700 * 29.1053238 / 4934.3359 + 112
    assert_close(project(head, theirs).pixels, torch.tensor([[u, v]]).double(), rtol=0, atol=1e-4)
    ours = head + torch.tensor([0.17440447, -9.1053238, 0.0]).double()  # y up
    assert_close(project(ours, camera).pixels, project(head, theirs).pixels, rtol=0, atol=1e-4)


def test_wrong_shapes_name_the_argument() -> None:
    with pytest.raises(ValueError, match=r"points must have shape \(\.\.\., N, 3\), not \(5, 2\)"):
        project(torch.zeros(5, 2), CAMERA)
    with pytest.raises(ValueError, match=r"Camera: translation must have shape \(\.\.\., 3\), not \(2,\)"):
        Camera(torch.eye(3), torch.zeros(2), torch.eye(3))
    with pytest.raises(ValueError, match="pixels must have shape"):
        back_project(torch.zeros(5, 3), torch.ones(5), CAMERA)
    with pytest.raises(ValueError, match="image_from_image must have shape"):
        CAMERA.cropped(torch.eye(2))
    with pytest.raises(ValueError, match="must be affine"):
        CAMERA.cropped(torch.tensor([[1.0, 0, 0], [0, 1, 0], [0.1, 0, 1]]))
