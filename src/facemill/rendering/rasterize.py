"""From a mesh in front of a camera to the triangle behind each pixel, and to interpolated attributes.

One interface, two back ends: numba on the CPU, pytorch3d on CUDA. Gradients do not come from the rasteriser
but from `differentiable_barycentrics`, which recomputes the barycentrics of the chosen triangles in torch:
exact for everything that moves within a triangle, and (as in Deep3DFaceRecon) none for the change of
visibility at silhouettes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from facemill.geometry.camera import inverse_intrinsics
from facemill.geometry.mesh import check_triangles
from facemill.rendering.fragments import Fragments
from facemill.rendering.zbuffer import rasterize_screens, screens_of

__all__ = ["Fragments", "differentiable_barycentrics", "interpolate", "rasterize"]

NEAR = 1.0


def rasterize(
    vertices: Tensor,
    triangles: Tensor,
    intrinsics: Tensor,
    size: tuple[int, int],
    cull_backfaces: bool = False,
    near: float = NEAR,
    threads: int | None = None,
) -> Fragments:
    """Find the nearest triangle behind each pixel centre.

    A pixel belongs to a triangle when its centre (integer coordinates) lies inside the projected triangle; a
    centre on a shared edge belongs to exactly one of the two. Of triangles at equal depth the first wins.
    A triangle with a corner nearer than `near`, or with a coordinate that is not a number, is left out whole
    (a face is never cut by the camera plane); one that crosses the border of the picture is drawn in part.

    Args:
        vertices: (B, V, 3), camera frame (x right, y down, z forward), millimetres.
        triangles: (F, 3) int64, counter-clockwise seen from outside.
        intrinsics: (B, 3, 3), or (3, 3) for all pictures.
        size: (height, width) of the pictures.
        cull_backfaces: leave out triangles seen from behind. Off by default: through an open mouth, an eye
            slit or the cut at the neck one sees inner sides, which hide what lies behind them. Safe and
            faster for a closed surface.
        near: millimetres, > 0.
        threads: CPU threads (default: torch's). The result does not depend on it.
    Returns:
        Fragments on the device and in the dtype of `vertices`.
    Raises:
        ValueError: a wrong shape or dtype, an index out of range, or `near` <= 0.
    """
    batch = _check(vertices, triangles, intrinsics, size, near)
    intrinsics = intrinsics.detach().expand(batch, 3, 3)
    if vertices.device.type != "cpu":
        from facemill.rendering.pytorch3d_backend import rasterize_pytorch3d

        return rasterize_pytorch3d(vertices.detach(), triangles, intrinsics, size, cull_backfaces, near)
    if threads is None:
        threads = torch.get_num_threads()
    table = np.ascontiguousarray(triangles.numpy())
    check_triangles(table, vertices.shape[1])
    points = np.ascontiguousarray(vertices.detach().numpy())
    screens = screens_of(points, np.ascontiguousarray(intrinsics.double().numpy()), near, threads)
    buffers = rasterize_screens(screens, table, size, points.dtype, cull_backfaces, threads)
    return Fragments(*(torch.from_numpy(buffer) for buffer in buffers))


class CoveredPixels(NamedTuple):
    """The pixels at which there is something, P of them.

    pixel: (P,) index into the flattened (B, H, W); corners: (3, P), for each corner of the pixel's triangle
    its index into the flattened (B, V).
    """

    pixel: Tensor
    corners: Tensor


def covered_pixels(fragments: Fragments, triangles: Tensor, vertex_count: int) -> CoveredPixels:
    """List the pixels that need work, so that the background costs nothing."""
    ids = fragments.triangle_ids
    flat = ids.reshape(-1)
    pixel = torch.nonzero(flat >= 0).squeeze(1)
    image = torch.div(pixel, ids.shape[1] * ids.shape[2], rounding_mode="floor")
    corners = triangles.index_select(0, flat.index_select(0, pixel)) + (image * vertex_count).unsqueeze(1)
    return CoveredPixels(pixel, corners.T.contiguous())


def differentiable_barycentrics(
    fragments: Fragments, vertices: Tensor, triangles: Tensor, intrinsics: Tensor
) -> Tensor:
    """The perspective-correct barycentrics of `fragments`, as a function of vertices and intrinsics.

    With d = K^-1 (u, v, 1) the ray of a pixel and q_i = (x_i - d_x z_i, y_i - d_y z_i) the offset of corner i
    from that ray, b_i is proportional to the cross product of q_j and q_k. (Offsets are small, so float32 is
    enough where the textbook triple product would lose four digits.)

    Args: as in `rasterize`; vertices (B, V, 3), intrinsics (B, 3, 3) or (3, 3).
    Returns:
        (B, H, W, 3); 0 where there is nothing. Equal to `fragments.barycentrics` up to rounding.
    """
    covered = covered_pixels(fragments, triangles, vertices.shape[1])
    batch, height, width = fragments.triangle_ids.shape
    image = torch.div(covered.pixel, height * width, rounding_mode="floor")
    within = covered.pixel - image * (height * width)
    row = torch.div(within, width, rounding_mode="floor")
    column = within - row * width
    inverse = inverse_intrinsics(intrinsics.expand(batch, 3, 3))[:, :2]
    pixels = torch.stack([column, row, torch.ones_like(row)], dim=-1).to(vertices.dtype)
    ray = (inverse.index_select(0, image) @ pixels.unsqueeze(-1)).squeeze(-1)
    flat = vertices.reshape(-1, 3)
    corners = (flat.index_select(0, index) for index in covered.corners)
    a, b, c = (corner[:, :2] - ray * corner[:, 2:] for corner in corners)
    weights = torch.stack([_cross(b, c), _cross(c, a), _cross(a, b)], dim=-1)
    barycentrics = weights / weights.sum(-1, keepdim=True)
    return _scattered(barycentrics, covered.pixel, fragments)


def interpolate(fragments: Fragments, barycentrics: Tensor, attributes: Tensor, triangles: Tensor) -> Tensor:
    """Interpolate attributes of vertices over the pictures.

    Args:
        barycentrics: (B, H, W, 3), `fragments.barycentrics` or the differentiable ones.
        attributes: (B, V, C), or (V, C) for all pictures.
        triangles: (F, 3), indices into V (the triangles of an atlas for attributes stored per uv coordinate).
    Returns:
        (B, H, W, C); 0 where there is nothing.
    """
    batch = len(fragments.triangle_ids)
    if attributes.ndim == 2:
        attributes = attributes.expand(batch, *attributes.shape)
    if attributes.ndim != 3 or len(attributes) != batch:
        raise ValueError(
            f"attributes must have shape ({batch}, V, C) or (V, C), not {tuple(attributes.shape)}"
        )
    covered = covered_pixels(fragments, triangles, attributes.shape[1])
    flat = attributes.reshape(-1, attributes.shape[2])
    weights = barycentrics.reshape(-1, 3).index_select(0, covered.pixel)
    a, b, c = (
        flat.index_select(0, index) * weights[:, corner, None] for corner, index in enumerate(covered.corners)
    )
    return _scattered(a + b + c, covered.pixel, fragments)


def _scattered(values: Tensor, pixel: Tensor, fragments: Fragments) -> Tensor:
    """(P, C) at their pixels in (B, H, W, C), 0 elsewhere."""
    shape = fragments.triangle_ids.shape
    picture = values.new_zeros(shape.numel(), values.shape[-1]).index_copy(0, pixel, values)
    return picture.reshape(*shape, -1)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def _check(
    vertices: Tensor, triangles: Tensor, intrinsics: Tensor, size: tuple[int, int], near: float
) -> int:
    if vertices.ndim != 3 or vertices.shape[-1] != 3 or not vertices.is_floating_point():
        raise ValueError(
            f"vertices must be floating point (B, V, 3), not {vertices.dtype} {tuple(vertices.shape)}"
        )
    if triangles.ndim != 2 or triangles.shape[1] != 3 or triangles.dtype != torch.int64:
        raise ValueError(f"triangles must be int64 (F, 3), not {triangles.dtype} {tuple(triangles.shape)}")
    if intrinsics.shape not in ((3, 3), (1, 3, 3), (len(vertices), 3, 3)):
        raise ValueError(
            f"intrinsics must have shape ({len(vertices)}, 3, 3) like vertices, not {tuple(intrinsics.shape)}"
        )
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"size must be (height, width), both at least 1, not {size}")
    if not near > 0:
        raise ValueError(f"near must be positive (millimetres), not {near}")
    return len(vertices)
