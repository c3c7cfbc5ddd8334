"""Which pixels of one view show surface that another view shows too."""

from __future__ import annotations

import torch
from torch import Tensor

from facemill.rendering.rasterize import Fragments, covered_pixels


def seen_vertices(fragments: Fragments, triangles: Tensor, vertex_count: int) -> Tensor:
    """(B, V) bool: corners of the triangles that some pixel shows.

    Args:
        fragments: of B pictures, fine enough that few visible triangles fall between two pixel centres.
        triangles: (F, 3) int64, those that were rasterised.
    """
    batch = len(fragments.triangle_ids)
    corners = covered_pixels(fragments, triangles, vertex_count).corners
    seen = torch.zeros(batch * vertex_count, dtype=torch.bool, device=triangles.device)
    return seen.index_fill(0, corners.reshape(-1), True).reshape(batch, vertex_count)


def covisible_pixels(target: Fragments, seen_in_both: Tensor, triangles: Tensor) -> Tensor:
    """(B, H, W) bool: pixels of the target view whose triangle has a corner that both views see.

    MGCNet's occlusion-aware map: vertices seen in both views, all triangles around them, drawn in the target
    view. MGCNet draws these triangles alone, so that some which something hides come out; here a pixel counts
    only when the triangle it really shows is one of them.

    Args:
        target: of the target views.
        seen_in_both: (B, V) bool.
        triangles: (F, 3) int64.
    """
    chosen = seen_in_both[:, triangles].any(2)
    ids = target.triangle_ids.flatten(1)
    return (chosen.gather(1, ids.clamp(min=0)) & (ids >= 0)).view_as(target.triangle_ids)
