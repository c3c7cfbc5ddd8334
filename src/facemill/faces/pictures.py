"""Pictures of a reconstructed face: laid on a photo, as grey geometry, and turned under neutral light."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from facemill.faces.posed_face import PosedFace
from facemill.geometry.camera import Camera, deep3d_crop_camera, project
from facemill.geometry.image import resizing, translation
from facemill.geometry.mesh import laplacian
from facemill.geometry.rotation import rotation_about_y
from facemill.geometry.sampling import warp
from facemill.models.topology import Topology
from facemill.rendering.fragments import Fragments
from facemill.rendering.lighting import irradiance
from facemill.rendering.rasterize import interpolate, rasterize
from facemill.rendering.texture import sample_texture

SUPERSAMPLING = 2
GREY = 0.72
#: Rounds of averaging over neighbours that blur the border of the face on an overlay: about 7 mm on the head.
FADING = 20

#: The square around the face that the close-up pictures show, pixels of the 224 crop: left, top, side.
CLOSEUP_WINDOW = (-38.5, -49.5, 301.0)
#: Soft light from the camera, a little from above and from the left; nine harmonics, the same for r, g and b.
NEUTRAL_LIGHT = (-0.22, -0.17, 0.28, 0.11, 0.0, 0.0, 0.0, 0.0, 0.0)


class Layer(NamedTuple):
    """A rendered picture to be laid on another: colours times opacity (H, W, 3), and opacity (H, W), 0..1."""

    color: Tensor
    alpha: Tensor


@dataclass(frozen=True)
class Surface:
    """What is drawn: vertices (V, 3) in the head frame, triangles (F, 3) and opacity (V,) if not all 1."""

    vertices: Tensor
    triangles: Tensor
    opacity: Tensor | None = None


#: From fragments of one picture to the colour (H, W, 3) of each of its pixels.
Shader = Callable[[Fragments], Tensor]


def draw(surface: Surface, camera: Camera, size: tuple[int, int], shader: Shader) -> Layer:
    """Render with smooth borders: several samples a pixel, averaged.

    Args:
        camera: head frame to pixels of the picture.
        size: (height, width).
    """
    height, width = size
    many = (height * SUPERSAMPLING, width * SUPERSAMPLING)
    fine = camera.cropped(torch.from_numpy(resizing(size, many)))
    vertices = fine.points_in_camera(surface.vertices)[None]
    fragments = rasterize(vertices, surface.triangles, fine.intrinsics, many)
    alpha = fragments.mask[0].to(surface.vertices.dtype)
    if surface.opacity is not None:
        alpha = vertex_shader(surface.opacity[:, None], surface.triangles)(fragments)[..., 0]
    stacked = torch.cat([shader(fragments).clamp(0, 1) * alpha[..., None], alpha[..., None]], dim=-1)
    pooled = torch.nn.functional.avg_pool2d(stacked.permute(2, 0, 1)[None], SUPERSAMPLING)[0].permute(1, 2, 0)
    return Layer(pooled[..., :3], pooled[..., 3])


def vertex_shader(colors: Tensor, triangles: Tensor) -> Shader:
    """Colours (V, 3) of vertices, interpolated."""
    return lambda fragments: interpolate(fragments, fragments.barycentrics, colors, triangles)[0]


def texture_shader(
    texture: Tensor, topology: Topology, gain: Tensor, rows: Tensor | slice = slice(None)
) -> Shader:
    """Texture (H, W, 3), row 0 at v = 1, times a gain (V, 3) interpolated from vertices.

    `rows` selects the triangles of the topology that are drawn.
    """
    uv = topology.uv.to(texture.dtype)

    def shade(fragments: Fragments) -> Tensor:
        weights = fragments.barycentrics
        place = interpolate(fragments, weights, uv, topology.uv_triangles[rows])
        light = interpolate(fragments, weights, gain, topology.triangles[rows])
        return (sample_texture(texture[None], place) * light)[0]

    return shade


def face_surface(face: PosedFace, topology: Topology) -> Surface:
    """The part of a face that belongs to it: see `fading_face`."""
    return fading_face(face.shape, topology)


def fading_face(shape: Tensor, topology: Topology) -> Surface:
    """The part of a shape (V, 3) that belongs to the face, without scalp, neck, and what else a head has.

    Towards the rest of the head it fades out: a border along triangles would look like saw teeth.
    """
    region = topology.regions["face"].numpy()
    triangles = topology.triangles.numpy()
    averaging = sparse.eye_array(len(region)) - laplacian(triangles, len(region))
    membership = region.astype(np.float64)
    for _ in range(FADING):
        membership = averaging @ membership
    opacity = torch.from_numpy(np.clip((membership - 0.35) / 0.3, 0, 1)).to(shape.dtype)
    rows = (opacity[topology.triangles] > 0).any(dim=1) & topology.regions["face"][topology.triangles].any(
        dim=1
    )
    return Surface(shape, topology.triangles[rows], opacity)


def lay_over(photo: NDArray[np.uint8], layer: Layer, left: int = 0, top: int = 0) -> NDArray[np.uint8]:
    """`photo` (H, W, 3) with `layer` on it, whose top-left pixel comes to (left, top)."""
    result = photo.copy()
    height, width = layer.alpha.shape
    place = result[top : top + height, left : left + width]
    under = torch.from_numpy(place.astype(np.float32) / 255)
    mixed = layer.color + under * (1 - layer.alpha[..., None])
    place[:] = to_bytes(mixed)
    return result


def with_alpha(layer: Layer) -> NDArray[np.uint8]:
    """`layer` as a picture with transparency, (H, W, 4)."""
    straight = layer.color / layer.alpha.clamp(min=1e-6)[..., None]
    return to_bytes(torch.cat([straight, layer.alpha[..., None]], dim=-1))


def to_bytes(values: Tensor) -> NDArray[np.uint8]:
    """Values 0..1 as 8-bit numbers, rounded and clipped."""
    return (values.clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def overlay(photo: NDArray[np.uint8], camera: Camera, surface: Surface, shader: Shader) -> NDArray[np.uint8]:
    """Draw a surface on a photo (H, W, 3); only the part of the photo that it covers is rendered."""
    height, width = photo.shape[:2]
    left, top, right, bottom = _covered(surface, camera, (height, width))
    if left >= right or top >= bottom:
        return photo.copy()
    window = camera.cropped(torch.from_numpy(translation(-left, -top)))
    return lay_over(photo, draw(surface, window, (bottom - top, right - left), shader), left, top)


def closeup_from_crop(side: int) -> NDArray[np.float64]:
    """(3, 3) from pixels of the crop to the square picture of `side` around the face."""
    left, top, width = CLOSEUP_WINDOW
    scale = side / width
    # The window's left edge, half a pixel before its first centre, comes to -0.5.
    return np.array([[scale, 0.0, -left * scale - 0.5], [0.0, scale, -top * scale - 0.5], [0.0, 0.0, 1.0]])


def closeup(photo: NDArray[np.uint8], face: PosedFace, side: int) -> NDArray[np.uint8]:
    """The photo around the face, (side, side, 3), sampled from the original; black where the photo ends."""
    transform = closeup_from_crop(side) @ np.linalg.inv(face.photo_from_crop)
    return warp(photo, transform, (side, side))


def geometry(face: PosedFace, topology: Topology, side: int) -> NDArray[np.uint8]:
    """The whole surface in grey, in the photo's pose, framed as `closeup`: (side, side, 4)."""
    camera = face.crop_camera.cropped(torch.from_numpy(closeup_from_crop(side)))
    colors = GREY * neutral_irradiance(face.normals)
    surface = Surface(face.shape, topology.triangles)
    return with_alpha(draw(surface, camera, (side, side), vertex_shader(colors, topology.triangles)))


def turned_views(
    face: PosedFace, topology: Topology, texture: NDArray[np.uint8], yaws: tuple[float, ...], side: int
) -> NDArray[np.uint8]:
    """Views from several sides under neutral light, in a row: (side, width, 4).

    The photo's light is taken out by dividing by the irradiance that the reconstruction found, within bounds,
    because where it is near zero the division would blow up noise.

    Args:
        texture: (H, W, 3) of the atlas, with the photo's light.
        yaws: degrees; positive turns the nose to the image right.
    """
    low, high = face.shape.amin(dim=0), face.shape.amax(dim=0)
    middle, half_height = (low + high) / 2, float(high[1] - low[1]) / 2
    camera = deep3d_crop_camera(dtype=face.shape.dtype)
    focal = 0.5 * side * float(camera.translation[2]) / (1.12 * half_height)
    width = round(0.86 * side)
    intrinsics = torch.tensor([[focal, 0, (width - 1) / 2], [0, focal, (side - 1) / 2], [0, 0, 1.0]])
    found = irradiance(face.normals[None], face.coefficients.lighting)[0]
    typical = found[topology.regions["face"]].median(dim=0).values
    relative = (found / typical.clamp(min=0.05)).clamp(0.7, 1.35)
    picture = torch.from_numpy(texture.astype(np.float32) / 255)
    views = []
    for yaw in yaws:
        turn = rotation_about_y(torch.tensor(np.deg2rad(yaw), dtype=face.shape.dtype))
        upright_normals = face.normals @ _posed_from_head(face) @ turn.mT
        gain = neutral_irradiance(upright_normals) / relative
        placed = (face.shape - middle) @ turn.mT
        view = Camera(camera.rotation, camera.translation, intrinsics)
        shader = texture_shader(picture, topology, gain)
        layer = draw(Surface(placed, topology.triangles), view, (side, width), shader)
        views.append(with_alpha(layer))
    return np.concatenate(views, axis=1)


def neutral_irradiance(normals: Tensor) -> Tensor:
    """Light (V, 3) on unit normals (V, 3) in a frame with y up and z towards the viewer; about 1 in front."""
    lighting = torch.tensor(NEUTRAL_LIGHT * 3, dtype=normals.dtype)[None]
    return irradiance(normals[None], lighting)[0].clamp(min=0.05)


def _posed_from_head(face: PosedFace) -> Tensor:
    """(3, 3) rotation of the head in the photo."""
    flip = deep3d_crop_camera(dtype=face.shape.dtype).rotation
    return flip.mT @ face.crop_camera.rotation


def _covered(surface: Surface, camera: Camera, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom (exclusive) of the pixels that the drawn vertices can reach."""
    used = surface.vertices[torch.unique(surface.triangles)]
    pixels = project(used, camera).pixels
    low, high = pixels.amin(dim=0), pixels.amax(dim=0)
    if not bool(torch.isfinite(torch.cat([low, high])).all()):
        return 0, 0, size[1], size[0]
    left, top = (max(0, int(np.floor(float(value))) - 1) for value in low)
    right, bottom = (
        min(limit, int(np.ceil(float(value))) + 2) for value, limit in zip(high, size[::-1], strict=True)
    )
    return left, top, right, bottom
