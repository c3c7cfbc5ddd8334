"""Euler conventions of the seed systems and axis-angle vectors."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck
from torch.testing import assert_close

from facemill.geometry import rotation as r

LIMIT = math.pi / 2 - 0.01
angle = st.floats(-3.1, 3.1)
middle = st.floats(-LIMIT, LIMIT)


def elementary(axis: str, t: float) -> np.ndarray:
    """Right-handed elementary matrices as in any textbook."""
    c, s = math.cos(t), math.sin(t)
    return np.array(
        {
            "x": [[1, 0, 0], [0, c, -s], [0, s, c]],
            "y": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
            "z": [[c, -s, 0], [s, c, 0], [0, 0, 1]],
        }[axis]
    )


def double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_deep3d_is_rz_ry_rx() -> None:
    expected = elementary("z", 0.3) @ elementary("y", -0.2) @ elementary("x", 0.1)
    np.testing.assert_allclose(
        r.matrix_from_euler_deep3d(double(0.1, -0.2, 0.3)).numpy(), expected, atol=1e-15
    )


def test_mgcnet_takes_rz_ry_rx_and_gives_rx_ry_rz() -> None:
    expected = elementary("x", 0.3) @ elementary("y", -0.2) @ elementary("z", 0.1)
    np.testing.assert_allclose(
        r.matrix_from_euler_mgcnet(double(0.1, -0.2, 0.3)).numpy(), expected, atol=1e-15
    )


def test_detail_layer_is_transposed_rx_ry_rz() -> None:
    expected = elementary("x", 0.1).T @ elementary("y", -0.2).T @ elementary("z", 0.3).T
    found = r.matrix_from_euler_detail_layer(double(0.1, -0.2, 0.3)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-15)


def test_positive_angles_turn_the_face_as_documented() -> None:
    nose, crown = double(0, 0, 1), double(0, 1, 0)
    assert (r.matrix_from_euler_deep3d(double(0, 0.5, 0)) @ nose)[0] > 0.4  # yaw: to the image right
    assert (r.matrix_from_euler_deep3d(double(0.5, 0, 0)) @ nose)[1] < -0.4  # pitch: down
    assert (r.matrix_from_euler_deep3d(double(0, 0, 0.5)) @ crown)[0] < -0.4  # roll: crown to the image left


def test_mgcnet_default_pose_is_a_frontal_face_for_an_opencv_camera() -> None:
    assert_close(r.matrix_from_euler_mgcnet(double(0, 0, math.pi)), torch.diag(double(1, -1, -1)))


@pytest.mark.parametrize(
    ("forward", "backward"),
    [
        (r.matrix_from_euler_deep3d, r.euler_deep3d_from_matrix),
        (r.matrix_from_euler_mgcnet, r.euler_mgcnet_from_matrix),
        (r.matrix_from_euler_detail_layer, r.euler_detail_layer_from_matrix),
    ],
)
@given(angles=st.tuples(angle, middle, angle))
def test_euler_inverses(
    forward: Callable[[Tensor], Tensor],
    backward: Callable[[Tensor], Tensor],
    angles: tuple[float, float, float],
) -> None:
    assert_close(backward(forward(double(*angles))), double(*angles), rtol=0, atol=1e-9)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(
    ("forward", "backward"),
    [
        (r.matrix_from_euler_deep3d, r.euler_deep3d_from_matrix),
        (r.matrix_from_euler_mgcnet, r.euler_mgcnet_from_matrix),
        (r.matrix_from_euler_detail_layer, r.euler_detail_layer_from_matrix),
    ],
)
def test_gimbal_lock_gives_the_same_rotation(
    forward: Callable[[Tensor], Tensor], backward: Callable[[Tensor], Tensor], sign: float
) -> None:
    matrix = forward(double(0.4, sign * math.pi / 2, -0.9))
    assert_close(forward(backward(matrix)), matrix, rtol=0, atol=1e-7)


@given(st.tuples(*[st.floats(-1.8, 1.8)] * 3))
def test_axis_angle_round_trip_and_orthogonality(values: tuple[float, float, float]) -> None:
    matrix = r.matrix_from_axis_angle(double(*values))
    assert_close(matrix @ matrix.mT, torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-12)
    assert_close(r.axis_angle_from_matrix(matrix), double(*values), rtol=0, atol=1e-9)


def test_axis_angle_about_z_equals_rotation_about_z() -> None:
    assert_close(r.matrix_from_axis_angle(double(0, 0, 0.7)), r.rotation_about_z(torch.tensor(0.7).double()))


@pytest.mark.parametrize("axis", [(1.0, 0.0, 0.0), (0.6, 0.0, -0.8), (-0.48, 0.6, 0.64)])
def test_half_turns_survive(axis: tuple[float, float, float]) -> None:
    matrix = r.matrix_from_axis_angle(math.pi * double(*axis))
    found = r.axis_angle_from_matrix(matrix)
    assert_close(r.matrix_from_axis_angle(found), matrix, rtol=0, atol=1e-7)
    assert abs(torch.linalg.norm(found).item() - math.pi) < 1e-7


@pytest.mark.parametrize("values", [(0.0, 0.0, 0.0), (1e-5, -2e-5, 1e-5), (0.3, -0.2, 0.9)])
def test_axis_angle_gradients_also_at_zero(values: tuple[float, float, float]) -> None:
    start = double(*values).requires_grad_()
    assert gradcheck(r.matrix_from_axis_angle, start, eps=1e-7, atol=1e-5)
    assert gradcheck(
        lambda w: r.axis_angle_from_matrix(r.matrix_from_axis_angle(w)), start, eps=1e-7, atol=1e-5
    )


def test_degrees_for_people_are_yaw_pitch_roll() -> None:
    radians = double(math.radians(10), math.radians(-20), math.radians(30))  # pitch, yaw, roll
    assert_close(r.head_angles_degrees(r.matrix_from_euler_deep3d(radians)), double(-20, 10, 30))


def test_batches_and_wrong_shapes() -> None:
    assert r.matrix_from_euler_deep3d(torch.zeros(4, 5, 3)).shape == (4, 5, 3, 3)
    with pytest.raises(ValueError, match=r"angles must have shape \(\.\.\., 3\), not \(4,\)"):
        r.matrix_from_euler_mgcnet(torch.zeros(4))
    with pytest.raises(ValueError, match="axis_angle must have shape"):
        r.matrix_from_axis_angle(torch.zeros(2))
    with pytest.raises(ValueError, match="rotation must have shape"):
        r.axis_angle_from_matrix(torch.zeros(3))
