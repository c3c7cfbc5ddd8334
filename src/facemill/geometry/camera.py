"""The pinhole camera of the whole project: OpenCV axes, millimetres, pixel centres at integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

DEEP3D_SIZE = 224
DEEP3D_FOCAL = 1015.0
DEEP3D_DISTANCE = 1000.0


MGCNET_FOCAL = 4700.0
MGCNET_DISTANCE = 4994.3359  # millimetres: its default pose is (0, 0, pi, 0.17440447, 9.1053238, 4994.3359)


class Projection(NamedTuple):
    """Where points land in a photo.

    pixels: (..., N, 2), u to the right and v down; (0, 0) is the centre of the top-left pixel.
    depth: (..., N), millimetres along the optical axis.
    """

    pixels: Tensor
    depth: Tensor


@dataclass(frozen=True)
class Camera:
    """A pinhole camera, or a batch of them: x_cam = rotation x_world + translation.

    rotation: (..., 3, 3), camera_from_world.
    translation: (..., 3), millimetres.
    intrinsics: (..., 3, 3), pixels; last row 0 0 1 (after a turning crop the rest may be full).
    The batch shapes of the three fields broadcast with one another.
    """

    rotation: Tensor
    translation: Tensor
    intrinsics: Tensor

    def __post_init__(self) -> None:
        for name, tail in (("rotation", (3, 3)), ("translation", (3,)), ("intrinsics", (3, 3))):
            shape = tuple(getattr(self, name).shape)
            if shape[-len(tail) :] != tail:
                expected = ", ".join(map(str, tail))
                raise ValueError(f"Camera: {name} must have shape (..., {expected}), not {shape}")

    @staticmethod
    def at_origin(
        focal: tuple[float, float],
        principal: tuple[float, float],
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> Camera:
        """Camera at the world origin, camera axes = world axes; `focal` (fx, fy), `principal` (cx, cy)."""
        intrinsics = [[focal[0], 0.0, principal[0]], [0.0, focal[1], principal[1]], [0.0, 0.0, 1.0]]
        return Camera(
            torch.eye(3, dtype=dtype, device=device),
            torch.zeros(3, dtype=dtype, device=device),
            torch.tensor(intrinsics, dtype=dtype, device=device),
        )

    @property
    def centre(self) -> Tensor:
        """Position of the pinhole in the world, (..., 3), millimetres."""
        return -(self.rotation.mT @ self.translation.unsqueeze(-1)).squeeze(-1)

    @property
    def focal_length(self) -> Tensor:
        """(...) pixels, geometric mean of two directions; the same whatever way a crop turned the picture."""
        return torch.linalg.det(self.intrinsics[..., :2, :2]).abs().sqrt()

    @property
    def extrinsics(self) -> Tensor:
        """(..., 3, 4): rotation and translation side by side."""
        return torch.cat([self.rotation, self.translation.unsqueeze(-1)], dim=-1)

    def points_in_camera(self, points: Tensor) -> Tensor:
        """World points (..., N, 3) in the camera frame: R p + t."""
        return points @ self.rotation.mT + self.translation.unsqueeze(-2)

    def moved(self, rotation: Tensor, shift: Tensor) -> Camera:
        """The same camera after the world, camera included, moved by p -> rotation p + shift.

        `project(points @ rotation.mT + shift, camera.moved(rotation, shift))` equals
        `project(points, camera)`.
        """
        turned = self.rotation @ rotation.mT
        return Camera(turned, self.translation - (turned @ shift.unsqueeze(-1)).squeeze(-1), self.intrinsics)

    def cropped(self, image_from_image: Tensor) -> Camera:
        """The same camera for the picture resized, cropped or warped by `image_from_image`.

        `image_from_image` (..., 3, 3) takes pixels of this camera to pixels of the new picture; its last
        row must be 0 0 1, or the result is no pinhole intrinsics matrix.
        """
        transform = torch.as_tensor(image_from_image).to(self.intrinsics)
        if transform.shape[-2:] != (3, 3):
            raise ValueError(f"image_from_image must have shape (..., 3, 3), not {tuple(transform.shape)}")
        last_row = transform.new_tensor([0.0, 0.0, 1.0])
        if not torch.allclose(transform[..., 2, :], last_row.expand_as(transform[..., 2, :])):
            raise ValueError(
                "image_from_image must be affine (last row 0 0 1): a perspective warp leaves no pinhole"
            )
        return Camera(self.rotation, self.translation, transform @ self.intrinsics)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Camera:
        """Copy on another device or in another dtype."""
        fields = (self.rotation, self.translation, self.intrinsics)
        return Camera(*(field.to(device=device, dtype=dtype) for field in fields))


def project(points: Tensor, camera: Camera) -> Projection:
    """Project points of the world into the photo of `camera`.

    x = R p + t;  u = (fx x + skew y)/z + cx;  v = fy y/z + cy    (Hartley and Zisserman 2004, chapter 6)

    A crop that turns the picture also has v depend on x; the whole upper 2 x 3 of the intrinsics is used.

    Args:
        points: (..., N, 3), millimetres, world frame.
        camera: its batch shape broadcasts with `...` of `points`.
    Returns:
        pixels (..., N, 2): NaN where depth <= 0, and no gradient flows from there; depth (..., N).
    Raises:
        ValueError: the last axis of `points` is not 3, or there is no axis N.

    >>> camera = Camera.at_origin(focal=(1000.0, 900.0), principal=(112.0, 100.0))
    >>> project(torch.tensor([[10.0, -20.0, 500.0]], dtype=torch.float64), camera).pixels
    tensor([[132.,  64.]], dtype=torch.float64)
    """
    if points.ndim < 2 or points.shape[-1] != 3:
        raise ValueError(f"points must have shape (..., N, 3), not {tuple(points.shape)}")
    return project_camera_points(camera.points_in_camera(points), camera.intrinsics)


def project_camera_points(points: Tensor, intrinsics: Tensor) -> Projection:
    """`project` for points (..., N, 3) that are already in the camera frame; intrinsics (..., 3, 3)."""
    depth = points[..., 2]
    visible = depth > 0
    # Dividing by 1 instead of a depth <= 0 keeps NaN and infinity out of the backward pass.
    safe_depth = torch.where(visible, depth, torch.ones_like(depth))
    normalised = points[..., :2] / safe_depth.unsqueeze(-1)
    pixels = normalised @ intrinsics[..., :2, :2].mT + intrinsics[..., None, :2, 2]
    nowhere = torch.full_like(pixels, torch.nan)
    return Projection(torch.where(visible.unsqueeze(-1), pixels, nowhere), depth)


def back_project(pixels: Tensor, depth: Tensor, camera: Camera) -> Tensor:
    """World points of pixels with known depth: the inverse of `project`.

    Args:
        pixels: (..., N, 2); depth: (..., N), millimetres along the optical axis.
    Returns:
        (..., N, 3), millimetres, world frame.
    Raises:
        ValueError: the last axis of `pixels` is not 2.
    """
    if pixels.shape[-1] != 2:
        raise ValueError(f"pixels must have shape (..., N, 2), not {tuple(pixels.shape)}")
    homogeneous = torch.cat([pixels, torch.ones_like(pixels[..., :1])], dim=-1)
    in_camera = (homogeneous @ inverse_intrinsics(camera.intrinsics).mT) * depth.unsqueeze(-1)
    return (in_camera - camera.translation.unsqueeze(-2)) @ camera.rotation


def inverse_intrinsics(intrinsics: Tensor) -> Tensor:
    """K^-1, (..., 3, 3): takes (u, v, 1) to the ray (x/z, y/z, 1). For affine K (last row 0 0 1).

    (Exact and differentiable; torch's LU has been seen to fail on several threads.)
    """
    a, b, c, d = (intrinsics[..., row, column] for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)))
    determinant = a * d - b * c
    linear = torch.stack([d, -b, -c, a], dim=-1).unflatten(-1, (2, 2)) / determinant[..., None, None]
    shift = -linear @ intrinsics[..., :2, 2:]
    last_row = torch.zeros_like(intrinsics[..., 2:, :])
    last_row[..., 2] = 1
    return torch.cat([torch.cat([linear, shift], dim=-1), last_row], dim=-2)


def deep3d_crop_camera(
    size: int = DEEP3D_SIZE,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    distance: float = DEEP3D_DISTANCE,
) -> Camera:
    """The fixed camera of Deep3DFaceRecon's aligned crop (Deng et al. 2019), in our conventions.

    Takes the posed head frame (millimetres, y up, z out of the face) to the crop. Deep3D itself: camera 10 dm
    before the origin, focal length 1015 px, principal point (112, 112) with y up; a row is 223 - y, hence
    cy = 111. `size` other than 224 is the same photo resized. Another `distance` (millimetres) keeps the size
    of the head in the crop and changes the perspective: the focal length goes with it.
    """
    focal = DEEP3D_FOCAL * distance / DEEP3D_DISTANCE
    intrinsics = [[focal, 0.0, 112.0], [0.0, focal, 111.0], [0.0, 0.0, 1.0]]
    camera = Camera(
        torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=dtype, device=device)),
        torch.tensor([0.0, 0.0, distance], dtype=dtype, device=device),
        torch.tensor(intrinsics, dtype=dtype, device=device),
    )
    if size == DEEP3D_SIZE:
        return camera
    scale = size / DEEP3D_SIZE
    shift = (scale - 1) / 2  # pixel centres at integers: u -> (u + 0.5) s - 0.5
    resized_from_crop = [[scale, 0.0, shift], [0.0, scale, shift], [0.0, 0.0, 1.0]]
    return camera.cropped(torch.tensor(resized_from_crop, dtype=dtype, device=device))


def mgcnet_crop_camera(
    dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu", distance: float = MGCNET_DISTANCE
) -> Camera:
    """MGCNet's camera of its 224 crop (Shang et al. 2020), in our conventions: f = 4700, centre (112, 112).

    Takes the posed head frame (millimetres, y up, z out of the face) to the crop, `distance` being the third
    number of its default translation; the rest of its pose is the head's (`matrix_from_euler_mgcnet` of its
    angles = this rotation times the head's). A head is 0.941 px per mm here, 1.015 in Deep3D's crop.
    """
    intrinsics = [[MGCNET_FOCAL, 0.0, 112.0], [0.0, MGCNET_FOCAL, 112.0], [0.0, 0.0, 1.0]]
    return Camera(
        torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=dtype, device=device)),
        torch.tensor([0.0, 0.0, distance], dtype=dtype, device=device),
        torch.tensor(intrinsics, dtype=dtype, device=device),
    )
