"""A picture of a displaced mesh beside its base mesh: bare geometry and texture, and the middle close up."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from facemill.faces.pictures import Surface, draw
from facemill.geometry.camera import Camera
from facemill.geometry.mesh import Mesh
from facemill.rendering.fragments import Fragments
from facemill.rendering.rasterize import interpolate
from facemill.rendering.render import render_geometry
from facemill.rendering.texture import sample_texture

ASPECT = 0.8
DISTANCE = 1000.0  # mm
CLOSE = 2.6  # how many times larger the second row is
TURN = 20.0  # degrees of the head to the image right


def draw_preview(base: Mesh, mesh: Mesh, texture: NDArray[np.uint8], face: NDArray, side: int) -> Image.Image:
    """Base mesh | displaced | with its texture; below the middle of the face, larger.

    Args:
        base, mesh: head frame, mm. face: (N, 3) points of the face, which is framed. side: height of a row.
    """
    rows = []
    low, high = face.min(axis=0), face.max(axis=0)
    for reach, middle in (
        (0.55 * (high - low)[1], (low + high) / 2),
        (0.55 * (high - low)[1] / CLOSE, (low + high) / 2 + [0.0, 0.0, 0.25 * (high - low)[2]]),
    ):
        camera = _camera(middle, float(reach), side)
        size = (side, round(ASPECT * side))
        pictures = [
            _grey(base, camera, size),
            _grey(mesh, camera, size),
            _textured(mesh, texture, camera, size),
        ]
        rows.append(np.concatenate(pictures, axis=1))
    return Image.fromarray((np.concatenate(rows).clip(0, 1) * 255 + 0.5).astype(np.uint8))


def _camera(middle: NDArray, reach: float, side: int) -> Camera:
    """A camera DISTANCE mm before a point of the head, that shows `reach` mm above and below it."""
    angle = np.deg2rad(TURN)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    rotation = np.diag([1.0, -1.0, -1.0]) @ turn
    focal = 0.5 * side * DISTANCE / reach
    width = round(ASPECT * side)
    intrinsics = np.array([[focal, 0, (width - 1) / 2], [0, focal, (side - 1) / 2], [0, 0, 1]])
    shift = np.array([0, 0, DISTANCE]) - rotation @ middle
    return Camera(*(torch.from_numpy(part) for part in (rotation, shift, intrinsics)))


def _grey(mesh: Mesh, camera: Camera, size: tuple[int, int]) -> NDArray[np.float32]:
    vertices, triangles = (np.ascontiguousarray(part) for part in (mesh.vertices, mesh.triangles))
    return render_geometry(torch.from_numpy(vertices), torch.from_numpy(triangles), camera, size)


def _textured(
    mesh: Mesh, texture: NDArray[np.uint8], camera: Camera, size: tuple[int, int]
) -> NDArray[np.float32]:
    assert mesh.uv is not None and mesh.uv_triangles is not None  # the model has an atlas
    layer = torch.from_numpy(texture.astype(np.float32) / 255)
    places = torch.from_numpy(np.asarray(mesh.uv, dtype=np.float32))
    corners = torch.from_numpy(np.ascontiguousarray(mesh.uv_triangles))

    def shader(fragments: Fragments) -> torch.Tensor:
        return sample_texture(layer[None], interpolate(fragments, fragments.barycentrics, places, corners))[0]

    vertices = torch.from_numpy(np.asarray(mesh.vertices, dtype=np.float32))
    surface = Surface(vertices, torch.from_numpy(np.ascontiguousarray(mesh.triangles)))
    drawn = draw(surface, camera.to(dtype=torch.float32), size, shader)
    return np.asarray((drawn.color + 1 - drawn.alpha[..., None]).numpy())
