"""Rotation matrices and the Euler conventions of the seed systems, batched, in torch. Angles in radians."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def rotation_about_x(angle: Tensor) -> Tensor:
    """Right-handed rotation about x by `angle` (...,): (..., 3, 3), y turns towards z."""
    c, s, o, i = _cosine_sine_zero_one(angle)
    return _matrix(i, o, o, o, c, -s, o, s, c)


def rotation_about_y(angle: Tensor) -> Tensor:
    """Right-handed rotation about y by `angle` (...,): (..., 3, 3), z turns towards x."""
    c, s, o, i = _cosine_sine_zero_one(angle)
    return _matrix(c, o, s, o, i, o, -s, o, c)


def rotation_about_z(angle: Tensor) -> Tensor:
    """Right-handed rotation about z by `angle` (...,): (..., 3, 3), x turns towards y."""
    c, s, o, i = _cosine_sine_zero_one(angle)
    return _matrix(c, -s, o, s, c, o, o, o, i)


def matrix_from_euler_deep3d(angles: Tensor) -> Tensor:
    """Deep3DFaceRecon: R = Rz(roll) Ry(yaw) Rx(pitch), for p' = R p in the head frame (y up, z out).

    angles (..., 3) = (pitch, yaw, roll). Positive yaw turns the nose to the image right, positive pitch
    turns it down, positive roll turns the top of the head to the image left. Returns (..., 3, 3).
    """
    pitch, yaw, roll = _three(angles)
    return rotation_about_z(roll) @ rotation_about_y(yaw) @ rotation_about_x(pitch)


def euler_deep3d_from_matrix(rotation: Tensor) -> Tensor:
    """Inverse of `matrix_from_euler_deep3d`: (..., 3) with yaw in [-pi/2, pi/2].

    At yaw = +-pi/2 pitch and roll are one angle; it is reported as pitch and roll is 0.
    """
    _check_matrix(rotation)
    sine = -rotation[..., 2, 0]
    pitch = torch.atan2(rotation[..., 2, 1], rotation[..., 2, 2])
    roll = torch.atan2(rotation[..., 1, 0], rotation[..., 0, 0])
    locked_pitch = torch.atan2(torch.sign(sine) * rotation[..., 0, 1], rotation[..., 1, 1])
    first, middle, last = _with_gimbal_lock(
        rotation[..., 0, 0], rotation[..., 1, 0], sine, pitch, roll, locked_pitch
    )
    return torch.stack([first, middle, last], dim=-1)


def matrix_from_euler_mgcnet(angles: Tensor) -> Tensor:
    """MGCNet: angles (..., 3) in the order of its pose vector (rz, ry, rx), R = Rx Ry Rz.

    The result takes the model frame (y up) to an OpenCV camera: a frontal face has rx = pi.
    """
    about_z, about_y, about_x = _three(angles)
    return rotation_about_x(about_x) @ rotation_about_y(about_y) @ rotation_about_z(about_z)


def euler_mgcnet_from_matrix(rotation: Tensor) -> Tensor:
    """Inverse of `matrix_from_euler_mgcnet`: (..., 3) = (rz, ry, rx) with ry in [-pi/2, pi/2].

    At ry = +-pi/2 the other two are one angle; it is reported as rx and rz is 0.
    """
    _check_matrix(rotation)
    sine = rotation[..., 0, 2]
    about_x = torch.atan2(-rotation[..., 1, 2], rotation[..., 2, 2])
    about_z = torch.atan2(-rotation[..., 0, 1], rotation[..., 0, 0])
    locked_x = torch.atan2(torch.sign(sine) * rotation[..., 1, 0], rotation[..., 1, 1])
    about_x, about_y, about_z = _with_gimbal_lock(
        rotation[..., 0, 0], rotation[..., 0, 1], sine, about_x, about_z, locked_x
    )
    return torch.stack([about_z, about_y, about_x], dim=-1)


def matrix_from_euler_detail_layer(angles: Tensor) -> Tensor:
    """Detail layer (Chen et al. 2020): angles (..., 3) = (pitch, yaw, roll), R = Rx' Ry' Rz'.

    The elementary matrices are transposed, that is, turn by the negative angles. Scale not included.
    """
    pitch, yaw, roll = _three(angles)
    return rotation_about_x(-pitch) @ rotation_about_y(-yaw) @ rotation_about_z(-roll)


def euler_detail_layer_from_matrix(rotation: Tensor) -> Tensor:
    """Inverse of `matrix_from_euler_detail_layer`: (pitch, yaw, roll) with yaw in [-pi/2, pi/2]."""
    return -euler_mgcnet_from_matrix(rotation).flip(-1)


def matrix_from_axis_angle(axis_angle: Tensor) -> Tensor:
    """Rotation by |w| radians about the axis w/|w| (Rodrigues): (..., 3) -> (..., 3, 3).

    R = I + a W + b W W, a = sin t / t, b = (1 - cos t) / t^2, t = |w|; smooth at 0, gradients included.
    """
    if axis_angle.shape[-1:] != (3,):
        raise ValueError(f"axis_angle must have shape (..., 3), not {tuple(axis_angle.shape)}")
    squared = (axis_angle * axis_angle).sum(-1)
    small = squared < 1e-8
    angle = torch.sqrt(torch.where(small, torch.ones_like(squared), squared))
    # Below 1e-4 rad the series is exact to 1e-17 relative and has no square root to differentiate.
    a = torch.where(small, 1 - squared / 6, torch.sin(angle) / angle)
    half_sine = torch.sin(angle / 2)
    b = torch.where(small, 0.5 - squared / 24, 2 * half_sine * half_sine / (angle * angle))
    x, y, z = axis_angle.unbind(-1)
    o = torch.zeros_like(x)
    cross = _matrix(o, -z, y, z, o, -x, -y, x, o)
    identity = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return identity + a[..., None, None] * cross + b[..., None, None] * (cross @ cross)


def axis_angle_from_matrix(rotation: Tensor) -> Tensor:
    """Inverse of `matrix_from_axis_angle`: (..., 3, 3) -> (..., 3), angle in [0, pi].

    Goes through the unit quaternion whose largest component is computed first (Shepperd 1978), so that
    neither the identity nor a half turn loses digits. Finite gradients at the identity.
    """
    quaternion = _quaternion_from_matrix(rotation)
    vector, scalar = quaternion[..., 1:], quaternion[..., 0]
    sign = torch.where(scalar < 0, -torch.ones_like(scalar), torch.ones_like(scalar))
    vector, scalar = vector * sign.unsqueeze(-1), scalar * sign
    squared = (vector * vector).sum(-1)
    small = squared < 1e-12
    sine = torch.sqrt(torch.where(small, torch.ones_like(squared), squared))
    series = 2 / torch.where(small, scalar, torch.ones_like(scalar))
    factor = torch.where(small, series, 2 * torch.atan2(sine, scalar) / sine)
    return vector * factor.unsqueeze(-1)


def head_angles_degrees(rotation: Tensor) -> Tensor:
    """Yaw, pitch and roll in degrees, for people and tables: (..., 3, 3) -> (..., 3).

    `rotation` turns the head within the head frame (as in `Coefficients`); signs as in
    `matrix_from_euler_deep3d`: positive yaw = nose to the image right, positive pitch = nose down,
    positive roll = top of the head to the image left.
    """
    return euler_deep3d_from_matrix(rotation)[..., [1, 0, 2]] * (180 / math.pi)


def _quaternion_from_matrix(rotation: Tensor) -> Tensor:
    """(..., 4) = (w, x, y, z), unit length."""
    _check_matrix(rotation)
    m = rotation
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    four_squares = torch.stack([1 + xx + yy + zz, 1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz], -1)
    x2, y2, z2 = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1]
    w4, x4, y4, z4 = four_squares.unbind(-1)
    # Row k is 4 q_k q: any row is parallel to the quaternion; the one of the largest q_k is the best.
    rows = torch.stack(
        [
            torch.stack([w4, x2, y2, z2], -1),
            torch.stack([x2, x4, xy, xz], -1),
            torch.stack([y2, xy, y4, yz], -1),
            torch.stack([z2, xz, yz, z4], -1),
        ],
        dim=-2,
    )
    largest = four_squares.argmax(-1)
    row = torch.gather(rows, -2, largest[..., None, None].expand(*largest.shape, 1, 4)).squeeze(-2)
    return row / torch.linalg.norm(row, dim=-1, keepdim=True)


def _with_gimbal_lock(
    cosine_part: Tensor, sine_part: Tensor, sine: Tensor, first: Tensor, last: Tensor, locked_first: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Middle angle by atan2, and the case cos(middle) = 0 settled by `locked_first` and last = 0."""
    squared = cosine_part * cosine_part + sine_part * sine_part
    locked = squared < (1e-12 if squared.dtype == torch.float64 else 1e-10)
    cosine = torch.sqrt(torch.where(locked, torch.ones_like(squared), squared))
    middle = torch.atan2(sine, torch.where(locked, torch.zeros_like(cosine), cosine))
    return torch.where(locked, locked_first, first), middle, torch.where(locked, torch.zeros_like(last), last)


def _cosine_sine_zero_one(angle: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return torch.cos(angle), torch.sin(angle), torch.zeros_like(angle), torch.ones_like(angle)


def _matrix(*entries: Tensor) -> Tensor:
    return torch.stack(entries, dim=-1).unflatten(-1, (3, 3))


def _three(angles: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    if angles.shape[-1:] != (3,):
        raise ValueError(f"angles must have shape (..., 3), not {tuple(angles.shape)}")
    return angles[..., 0], angles[..., 1], angles[..., 2]


def _check_matrix(rotation: Tensor) -> None:
    if rotation.shape[-2:] != (3, 3):
        raise ValueError(f"rotation must have shape (..., 3, 3), not {tuple(rotation.shape)}")
