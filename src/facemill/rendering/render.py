"""Pictures of meshes: a differentiable render for fitting, a grey one of the bare geometry for people."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facemill.geometry.camera import Camera
from facemill.geometry.image import resize, resizing
from facemill.geometry.mesh import normalised, vertex_normals
from facemill.geometry.rotation import matrix_from_euler_deep3d
from facemill.rendering.lighting import shade
from facemill.rendering.rasterize import Fragments, differentiable_barycentrics, interpolate, rasterize

GREY = (0.72, 0.72, 0.74)
WHITE = (1.0, 1.0, 1.0)
# Directions towards the lights of `render_geometry`, camera frame (y down, z forward), and strengths.
LIGHTS = (((-0.45, -0.55, -0.75), 0.75), ((0.8, -0.1, -0.6), 0.25))
AMBIENT = 0.12


@dataclass(frozen=True)
class Render:
    """A batch of rendered pictures; all but `mask` and `fragments` carry gradients.

    image: (B, H, W, 3), not clipped; the background where the mask is False.
    mask: (B, H, W) bool, the mesh covers the pixel centre.
    depth: (B, H, W), millimetres; infinite where there is nothing.
    normals: (B, H, W, 3), unit length, in the frame of the vertices; 0 where there is nothing.
    fragments: what the rasteriser found.
    """

    image: Tensor
    mask: Tensor
    depth: Tensor
    normals: Tensor
    fragments: Fragments


def render(
    vertices: Tensor,
    triangles: Tensor,
    albedo: Tensor,
    camera: Camera,
    size: tuple[int, int],
    lighting: Tensor | None = None,
    normals: Tensor | None = None,
    background: Tensor | None = None,
    cull_backfaces: bool = False,
) -> Render:
    """Render meshes with a colour per vertex, shaded per vertex and interpolated (as Deep3DFaceRecon does).

    Gradients reach vertices, albedo, lighting, normals and camera through everything but visibility.

    Args:
        vertices: (B, V, 3), world of `camera`, millimetres (for `deep3d_crop_camera`: the posed head frame).
        triangles: (F, 3) int64.
        albedo: (B, V, 3) or (V, 3), 0..1.
        camera: one camera, or a batch of B.
        size: (height, width).
        lighting: (B, 27) as in `shade`; None shows the albedo as it is.
        normals: (B, V, 3) unit normals of the vertices; None computes them (prepare a `VertexNormals` for
            many calls with one topology).
        background: (B, H, W, 3), (H, W, 3) or one colour (3,); None is black.
        cull_backfaces: as in `rasterize`.
    Raises:
        ValueError: a shape does not fit.
    """
    if vertices.ndim != 3:
        raise ValueError(f"vertices must have shape (B, V, 3), not {tuple(vertices.shape)}")
    if normals is None:
        normals = vertex_normals(vertices, triangles)
    colors = albedo.expand_as(vertices) if lighting is None else shade(albedo, normals, lighting)
    in_camera = camera.points_in_camera(vertices)
    fragments = rasterize(in_camera, triangles, camera.intrinsics, size, cull_backfaces)
    barycentrics = differentiable_barycentrics(fragments, in_camera, triangles, camera.intrinsics)
    attributes = torch.cat([colors, normals, in_camera[..., 2:]], dim=-1)
    values = interpolate(fragments, barycentrics, attributes, triangles)
    mask = fragments.mask
    image = values[..., :3]
    if background is not None:
        image = torch.where(mask.unsqueeze(-1), image, background.to(image))
    depth = torch.where(mask, values[..., 6], torch.full_like(values[..., 6], torch.inf))
    return Render(image, mask, depth, normalised(values[..., 3:6]), fragments)


def render_geometry(
    vertices: Tensor,
    triangles: Tensor,
    camera: Camera,
    size: tuple[int, int],
    supersampling: int = 2,
    color: tuple[float, float, float] = GREY,
    background: tuple[float, float, float] = WHITE,
) -> NDArray[np.float32]:
    """Grey picture of one bare surface, lit from the upper left of the camera, for people.

    vertices: (V, 3), world of `camera`; `supersampling` squared rays per pixel against jagged edges. Inner
    sides are dark. Returns (H, W, 3) float32, 0..1.
    """
    with torch.no_grad():
        fine = (size[0] * supersampling, size[1] * supersampling)
        fine_camera = camera.cropped(torch.from_numpy(resizing(size, fine)))
        points = fine_camera.points_in_camera(vertices)[None]
        fragments = rasterize(points, triangles, fine_camera.intrinsics, fine)
        normals = vertex_normals(points, triangles, "area")
        normal = normalised(interpolate(fragments, fragments.barycentrics, normals, triangles))
        brightness = torch.full_like(normal[..., 0], AMBIENT)
        for direction, strength in LIGHTS:
            towards = normalised(normal.new_tensor(direction))
            brightness = brightness + strength * (normal @ towards).clamp(min=0)
        # Lambert's law in light, shown with a display gamma.
        shown = normal.new_tensor(color) * brightness.clamp(max=1).pow(1 / 1.6).unsqueeze(-1)
        picture = torch.where(fragments.mask.unsqueeze(-1), shown, normal.new_tensor(background))[0]
    small = resize(picture.float().numpy(), size, "bilinear").image if supersampling > 1 else picture.numpy()
    return np.clip(small, 0, 1).astype(np.float32)


def turned_camera(
    camera: Camera, yaw_degrees: float, pitch_degrees: float = 0.0, about: Tensor | None = None
) -> Camera:
    """The camera that sees the head turned about the point `about` (3,), default the origin.

    Signs as in `matrix_from_euler_deep3d`: positive yaw shows the nose further to the image right, positive
    pitch shows it further down. Light that is given in the frame of the vertices turns with the head.
    """
    angles = [math.radians(pitch_degrees), math.radians(yaw_degrees), 0.0]
    turn = matrix_from_euler_deep3d(camera.rotation.new_tensor(angles))
    pivot = torch.zeros_like(camera.translation) if about is None else about.to(camera.translation)
    shift = pivot - (turn @ pivot.unsqueeze(-1)).squeeze(-1)
    return Camera(
        camera.rotation @ turn,
        camera.translation + (camera.rotation @ shift.unsqueeze(-1)).squeeze(-1),
        camera.intrinsics,
    )
