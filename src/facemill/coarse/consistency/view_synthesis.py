"""What one view would look like if it were taken from the pixels of another: warping by the shape."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from facemill.geometry.camera import Camera, back_project, project
from facemill.geometry.sampling import pixel_grid, sample
from facemill.rendering.rasterize import Fragments, differentiable_barycentrics, interpolate


@dataclass(frozen=True)
class SynthesisedView:
    """The target views as the source views show them; differentiable in the shapes and the poses of both.

    Attributes:
        values: (B, H, W, C) of the source's picture, where the surface behind each target pixel lands in it.
        depth: (B, H, W) of that surface in the source camera's frame, millimetres.
        valid: (B, H, W) bool: the target shows the surface, and it lands on the source's picture.
    """

    values: Tensor
    depth: Tensor
    valid: Tensor


def source_from_target(source: Camera, target: Camera) -> Camera:
    """The source's camera with the target camera's frame for its world: T = T_source T_target^-1.

    Args:
        source, target: of the head, or of anything else that both see at rest.
    """
    return source.moved(target.rotation, target.translation)


def surface_depth(fragments: Fragments, vertices: Tensor, triangles: Tensor, intrinsics: Tensor) -> Tensor:
    """Depth (B, H, W), mm, of what pixels show, as a function of vertices (B, V, 3); 0 of nothing."""
    barycentrics = differentiable_barycentrics(fragments, vertices, triangles, intrinsics)
    return interpolate(fragments, barycentrics, vertices[..., 2:], triangles)[..., 0]


def synthesise_view(depth: Tensor, intrinsics: Tensor, source: Camera, pictures: Tensor) -> SynthesisedView:
    """Look up, for each pixel of the target, the source pixel that shows the same point of the surface.

    Args:
        depth: (B, H, W) of the target, in its camera's frame; 0 where there is nothing.
        intrinsics: (B, 3, 3) of the target's pictures.
        source: `source_from_target`, with the intrinsics of `pictures`.
        pictures: (B, H', W', C) of the source.
    """
    batch, height, width = depth.shape
    grid = pixel_grid((height, width), depth.dtype, depth.device).reshape(1, -1, 2).expand(batch, -1, -1)
    eye = torch.eye(3, dtype=depth.dtype, device=depth.device)
    target = Camera(eye, eye.new_zeros(3), intrinsics)
    projection = project(back_project(grid, depth.flatten(1), target), source)
    values, inside = sample(pictures, projection.pixels)
    valid = inside.view_as(depth) & (depth > 0)
    return SynthesisedView(values.reshape(batch, height, width, -1), projection.depth.view_as(depth), valid)
