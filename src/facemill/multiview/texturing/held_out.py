"""How well a texture made without one view shows what that view saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from facemill.faces.face_texture import Atlas
from facemill.faces.pictures import Surface, draw
from facemill.multiview.displaced_head import DisplacedHead
from facemill.multiview.fine_mesh import FineMesh, refine_face
from facemill.multiview.head_views import HeadView
from facemill.multiview.texturing.blend import BlendedTexture, blend_texture
from facemill.multiview.texturing.settings import BlendTextureSettings
from facemill.rendering.fragments import Fragments
from facemill.rendering.rasterize import interpolate
from facemill.rendering.texture import sample_texture

EDGE = 1.0  # mm, of the mesh that is drawn
WHOLLY = 0.999  # share of a pixel that must be seen face to count
LEAST_SEEN = 250  # of 255: texels that the other views show


@dataclass(frozen=True)
class HeldOut:
    """A view that the texture was made without.

    psnr: dB of 1 against the picture with the capture's gains, over the pixels of `mask`; matched_psnr: after
    the best gain of each colour. picture, rendered: (H, W, 3) 0..1. mask: (H, W), face that other views saw.
    """

    view: str
    psnr: float
    matched_psnr: float
    picture: NDArray[np.float32]
    rendered: NDArray[np.float32]
    mask: NDArray[np.bool_]


def held_out(
    views: Sequence[HeadView],
    name: str,
    head: DisplacedHead,
    albedo: torch.Tensor,
    atlas: Atlas,
    settings: BlendTextureSettings,
) -> HeldOut:
    """Blend the texture of all views but `name`, and compare its picture with that view.

    Raises:
        ValueError: no view has that name, or it shows nothing that others saw.
    """
    left = [view for view in views if view.name != name]
    if len(left) == len(views):
        raise ValueError(f"name: expected one of {', '.join(view.name for view in views)}, found {name}")
    view = next(view for view in views if view.name == name)
    blended = blend_texture(left, head, albedo, atlas, settings)
    fine = refine_face(head.topology, head.vertices, EDGE)
    rendered, mask = render_texture(head, fine, blended, view)
    if not mask.any():
        raise ValueError(f"{name}: expected pixels of the face that other views saw, found none")
    picture = view.picture.clip(0, 1)
    seen, drawn = picture[mask].astype(np.float64), rendered[mask].astype(np.float64)
    gains = (seen * drawn).sum(axis=0) / np.maximum((drawn**2).sum(axis=0), 1e-9)
    return HeldOut(name, psnr(drawn, seen), psnr(drawn * gains, seen), picture, rendered, mask)


def render_texture(
    head: DisplacedHead, fine: FineMesh, blended: BlendedTexture, view: HeadView
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The textured, displaced head in a view's camera (H, W, 3), and where its seen bare face is (H, W)."""
    mesh = head.displaced(fine)
    camera = view.camera.to(dtype=torch.float32)
    size = view.picture.shape[:2]
    places = torch.from_numpy(fine.uv.astype(np.float32))
    uv_triangles = torch.from_numpy(np.ascontiguousarray(fine.uv_triangles))
    vertices = torch.from_numpy(mesh.vertices.astype(np.float32))
    surface = Surface(vertices, torch.from_numpy(np.ascontiguousarray(fine.triangles)))
    texture = torch.from_numpy(blended.texture.astype(np.float32) / 255)
    seen = torch.from_numpy(((blended.seen >= LEAST_SEEN) & head.face).astype(np.float32))

    def shade(layer: torch.Tensor) -> NDArray[np.float32]:
        def shader(fragments: Fragments) -> torch.Tensor:
            at = interpolate(fragments, fragments.barycentrics, places, uv_triangles)
            return sample_texture(layer[None], at)[0]

        return np.asarray(draw(surface, camera, size, shader).color.numpy(), dtype=np.float32)

    mask = shade(seen[..., None].expand(*seen.shape, 3))[..., 0] >= WHOLLY
    return shade(texture), mask


def psnr(first: NDArray, second: NDArray) -> float:
    """Peak signal to noise ratio of values 0..1, dB.

    >>> round(psnr(np.array([0.5, 0.5]), np.array([0.6, 0.4])), 6)
    20.0
    """
    error = float(((first - second) ** 2).mean())
    return float(-10 * np.log10(max(error, 1e-12)))
