"""Pictures of a face with detail: coarse and fine side by side, on the photo, under other expressions."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facemill.detail.fine_face import FineFace, mixed
from facemill.faces import pictures
from facemill.faces.posed_face import PosedFace
from facemill.geometry.camera import Camera, project
from facemill.geometry.rotation import matrix_from_euler_deep3d
from facemill.rendering.lighting import irradiance

GREY = 0.72
#: Side of the pictures of the face alone, as a multiple of its larger extent.
FRAME = 1.08
#: A lamp at the upper left that rakes over the relief, and a weaker one at the right: share, and direction
#: (x right, y up, z to the viewer). The rest of the light comes from everywhere.
LAMPS = ((0.62, (-0.46, 0.48, 0.75)), (0.18, (0.75, 0.0, 0.66)))


def raking_light(normals: Tensor) -> Tensor:
    """Brightness (..., 1) of unit normals (y up, z to the viewer) under `LAMPS`, 1 at most."""
    total = torch.full_like(normals[..., :1], 1 - sum(share for share, _ in LAMPS))
    for share, direction in LAMPS:
        lamp = torch.nn.functional.normalize(torch.tensor(direction).to(normals), dim=0)
        total = total + share * (normals @ lamp).clamp(min=0)[..., None]
    return total


def geometry_pair(face: PosedFace, fine: FineFace, side: int) -> NDArray[np.uint8]:
    """The grey face without and with detail, in the photo's pose and the same light: (side, 2 side, 4)."""
    region = fine.atlas.topology.regions["face"]
    camera = framed(fine.shape[region], face.crop_camera, side)
    posed = _posed_from_head(face)
    halves = [grey_view(one, camera, side, posed) for one in (fine.coarse(), fine)]
    return np.concatenate(halves, axis=1)


def grey_view(fine: FineFace, camera: Camera, side: int, posed_from_head: Tensor) -> NDArray[np.uint8]:
    """A grey surface with detail under the lamps: (side, side, 4).

    Args:
        camera: head frame to pixels; posed_from_head: (3, 3) to y up and z towards the viewer.
    """

    def grey(normals: Tensor, corners: Tensor, weights: Tensor) -> Tensor:
        return (GREY * raking_light(normals @ posed_from_head.mT)).expand(*normals.shape)

    surface = pictures.Surface(fine.positions(), fine.dense.triangles)
    return pictures.with_alpha(pictures.draw(surface, camera, (side, side), fine.normal_shader(grey)))


def detail_overlay(face: PosedFace, fine: FineFace, photo: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The face with its detail, lit as in the photo, on the photo's close-up: (side, side, 3)."""
    dense = fine.dense
    posed = _posed_from_head(face)
    albedo = dense.interpolated(face.albedo)
    opacity = pictures.face_surface(face, fine.atlas.topology).opacity
    assert opacity is not None  # that surface fades towards the rest of the head
    opacity = dense.interpolated(opacity[:, None])[:, 0]

    def lit(normals: Tensor, corners: Tensor, weights: Tensor) -> Tensor:
        light = irradiance((normals @ posed.mT)[None], face.coefficients.lighting)[0]
        return mixed(albedo, corners, weights) * light

    surface = pictures.Surface(fine.positions(), dense.triangles, opacity)
    camera = face.crop_camera.cropped(torch.from_numpy(pictures.closeup_from_crop(side)))
    shader = fine.normal_shader(lit)
    return pictures.overlay(pictures.closeup(photo, face, side), camera, surface, shader)


def framed(points: Tensor, camera: Camera, side: int) -> Camera:
    """The camera with points (N, 3) of its world in the middle of a square picture of `side` pixels."""
    pixels = project(points, camera).pixels.double().numpy()
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    scale = side / (FRAME * float((high - low).max()))
    offset = (side - 1) / 2 - scale * (low + high) / 2
    return camera.cropped(torch.tensor([[scale, 0, offset[0]], [0, scale, offset[1]], [0, 0, 1]]))


def _posed_from_head(face: PosedFace) -> Tensor:
    return matrix_from_euler_deep3d(face.coefficients.rotation)[0]
