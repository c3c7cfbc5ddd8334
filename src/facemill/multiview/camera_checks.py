"""What the cameras of a rig say about each other, without looking at a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from facemill.geometry.camera import Camera

FLIPPED = "flipped_extrinsics"
SEEN_WITHIN = 0.5  # radians from the optical axis: the head is in the picture
GOOD, BAD = 0.8, 0.5  # share of the cameras that look at the common point

_REMEDY = "give world to camera, x_cam = R x_world + t, with OpenCV's axes (x right, y down, z forward)"


@dataclass(frozen=True)
class Convention:
    """How extrinsics may be meant. inverted: camera to world. opengl: y up, z backward."""

    inverted: bool
    opengl: bool

    @property
    def words(self) -> str:
        """For a person."""
        kind = "camera to world" if self.inverted else "world to camera"
        return f"{kind}, with {'OpenGL' if self.opengl else 'OpenCV'} axes"


CONVENTIONS = tuple(Convention(inverted, opengl) for opengl in (False, True) for inverted in (False, True))
"""The first is ours."""


def flipped_convention(cameras: Sequence[Camera]) -> Convention | None:
    """The convention in which the cameras were given, where ours is out of the question; else None.

    All cameras of a capture look at one head. Read in another convention they look apart, or away from each
    other: fewer than half of them see the point that is nearest to their axes. When another convention makes
    four of five see theirs, that is the one. One camera, or two, may be right in several.
    """
    if len(cameras) < 3:
        return None
    shares = [looking_share([meant(camera, convention) for camera in cameras]) for convention in CONVENTIONS]
    best = max(range(1, len(CONVENTIONS)), key=lambda at: shares[at])
    return CONVENTIONS[best] if shares[0] < BAD and shares[best] >= GOOD else None


def flipped_reason(convention: Convention, file: str) -> str:
    """The sentence for the owner of the capture."""
    return (
        f"{file}: read as world to camera, the cameras do not look at one place; read as {convention.words}, "
        f"they do; {_REMEDY}"
    )


def meant(camera: Camera, convention: Convention) -> Camera:
    """Our camera, from one whose numbers are meant in another convention."""
    rotation, translation = camera.rotation, camera.translation
    if convention.inverted:
        rotation, translation = rotation.mT, -(rotation.mT @ translation)
    if convention.opengl:
        axes = torch.diag(rotation.new_tensor([1.0, -1.0, -1.0]))
        rotation, translation = axes @ rotation, axes @ translation
    return Camera(rotation, translation, camera.intrinsics)


def looking_share(cameras: Sequence[Camera]) -> float:
    """Share of the cameras that see the point which is nearest to all optical axes.

    A camera counts when the point is before it, not far from its axis, and not at the camera itself.
    """
    centres = torch.stack([camera.centre for camera in cameras])
    axes = torch.stack([camera.rotation[2] for camera in cameras])
    point = nearest_to_axes(centres, axes)
    towards = point - centres
    distances = towards.norm(dim=1)
    spread = (centres - centres.mean(dim=0)).norm(dim=1).mean()
    along = (towards * axes).sum(dim=1) / distances.clamp_min(1e-12)
    seen = (along > torch.cos(torch.tensor(SEEN_WITHIN))) & (distances > 0.05 * spread)
    return float(seen.double().mean())


def nearest_to_axes(centres: Tensor, axes: Tensor) -> Tensor:
    """The point (3,) with the least sum of squared distances to lines through (N, 3) along unit (N, 3)."""
    across = torch.eye(3, dtype=axes.dtype) - axes[:, :, None] * axes[:, None, :]
    # A trace of identity keeps parallel axes solvable: then the point lies near the centres.
    matrix = across.sum(dim=0) + 1e-9 * torch.eye(3, dtype=axes.dtype)
    right = (across @ centres[:, :, None]).sum(dim=0)
    return torch.cholesky_solve(right, torch.linalg.cholesky(matrix))[:, 0]
