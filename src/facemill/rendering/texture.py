"""Textures: what lies under each texel, reading a texture, and taking one from a photo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from facemill.geometry.camera import Camera, project
from facemill.geometry.image import resizing, translation
from facemill.geometry.infill import push_pull
from facemill.geometry.mesh import VertexNormals, check_triangles, normalised
from facemill.geometry.sampling import Interpolation, sample
from facemill.rendering.rasterize import rasterize
from facemill.rendering.zbuffer import Screen, rasterize_screens

DEPTH_MAP_LIMIT = 1536
"""Longest side of the depth map that decides visibility; a face in a larger photo gains nothing from more."""


@dataclass(frozen=True)
class UvRaster:
    """What lies under each texel of a texture: computed once per atlas and size.

    triangle_ids: (H, W) int64, row of the atlas' triangle table; -1 = nothing.
    barycentrics: (H, W, 3) float32 within that triangle.
    mask: (H, W) bool, the texel's centre lies in a triangle.

    Around the islands runs a gutter, where `triangle_ids` >= 0 but `mask` is False: there each texel repeats
    the nearest one of an island, so that bilinear reading does not bleed at the border.
    """

    triangle_ids: Tensor
    barycentrics: Tensor
    mask: Tensor

    @staticmethod
    def from_atlas(
        uv: ArrayLike, uv_triangles: ArrayLike, size: int | tuple[int, int], gutter: int = 8
    ) -> UvRaster:
        """Rasterise an atlas: uv (T, 2) in 0..1 with v up, uv_triangles (F, 3), size (H, W) or one number.

        Where islands overlap the first triangle has the texel (see `facemill.geometry.uv.overlap_share`).
        """
        coordinates = np.asarray(uv, dtype=np.float64)
        if coordinates.ndim != 2 or coordinates.shape[1] != 2:
            raise ValueError(f"uv must have shape (T, 2), not {coordinates.shape}")
        table = np.ascontiguousarray(uv_triangles, dtype=np.int64)
        check_triangles(table, len(coordinates), "uv_triangles", "uv coordinates")
        shape = (size, size) if isinstance(size, int) else size
        x = coordinates[:, 0] * shape[1] - 0.5
        y = (1 - coordinates[:, 1]) * shape[0] - 0.5
        screen = Screen(x, y, np.ones(len(x)))
        ids, barycentrics, _ = rasterize_screens([screen], table, shape, np.dtype(np.float32), False, 1)
        mask = ids[0] >= 0
        if gutter > 0 and mask.any():
            distance, (rows, columns) = distance_transform_edt(~mask, return_indices=True)
            near = (distance <= gutter) & ~mask
            ids[0][near] = ids[0][rows[near], columns[near]]
            barycentrics[0][near] = barycentrics[0][rows[near], columns[near]]
        return UvRaster(torch.from_numpy(ids[0]), torch.from_numpy(barycentrics[0]), torch.from_numpy(mask))

    @property
    def filled(self) -> Tensor:
        """(H, W) bool: islands and gutter."""
        return self.triangle_ids >= 0

    def to(self, device: torch.device | str) -> UvRaster:
        """Copy on another device."""
        return UvRaster(self.triangle_ids.to(device), self.barycentrics.to(device), self.mask.to(device))

    def part(self, rows: slice, columns: slice) -> UvRaster:
        """A window of it."""
        return UvRaster(
            self.triangle_ids[rows, columns], self.barycentrics[rows, columns], self.mask[rows, columns]
        )

    def interpolate(self, attributes: Tensor, triangles: Tensor) -> Tensor:
        """Attributes of vertices as a map: (..., V, C) -> (..., H, W, C); 0 where nothing is. Differentiable.

        `triangles`: (F, 3), row f the same triangle as row f of the atlas, with indices into `attributes`.
        """
        filled = torch.nonzero(self.filled.reshape(-1)).squeeze(1)
        corners = triangles.index_select(0, self.triangle_ids.reshape(-1).index_select(0, filled))
        weights = self.barycentrics.reshape(-1, 3).index_select(0, filled).to(attributes.dtype)
        a, b, c = (
            attributes.index_select(-2, corners[:, corner]) * weights[:, corner, None] for corner in range(3)
        )
        height, width = self.triangle_ids.shape
        empty = attributes.new_zeros(*attributes.shape[:-2], height * width, attributes.shape[-1])
        return empty.index_copy(-2, filled, a + b + c).unflatten(-2, (height, width))


class BakedTexture(NamedTuple):
    """texture: (H, W, C), the photo's colours; weight: (H, W), 0 = not seen, 1 = seen face on."""

    texture: Tensor
    weight: Tensor


class PointView(NamedTuple):
    """How one camera sees N points: pixels (N, 2), NaN behind it; depth (N,); weight (N,), 0 = not seen."""

    pixels: Tensor
    depth: Tensor
    weight: Tensor


class TexelView(NamedTuple):
    """Where a camera sees each texel.

    pixels: (H, W, 2) of the photo, NaN behind the camera; depth: (H, W) along the optical axis;
    weight: (H, W), 0 = not seen, 1 = seen face on. Beside the atlas all three mean nothing but the weight, 0.
    """

    pixels: Tensor
    depth: Tensor
    weight: Tensor


def sample_texture(textures: Tensor, uv: Tensor, interpolation: Interpolation = "bilinear") -> Tensor:
    """Read textures (B, H, W, C) at uv (B, ..., 2), v up: (B, ..., C). Differentiable.

    Beyond the outermost texel centres the border repeats.
    """
    height, width = textures.shape[1:3]
    columns = uv[..., 0] * width - 0.5
    rows = (1 - uv[..., 1]) * height - 0.5
    return sample(textures, torch.stack([columns, rows], dim=-1), interpolation).values


def bake_texture(
    raster: UvRaster,
    photo: Tensor,
    vertices: Tensor,
    triangles: Tensor,
    camera: Camera,
    tolerance: float = 1.0,
    least_cosine: float = 0.1,
) -> BakedTexture:
    """Take the texture of one surface from one photo of it.

    A texel is seen when it projects into the photo, its surface faces the camera, no other part of the
    surface is nearer in any of the nine depth pixels around it (by more than `tolerance` and what the slope
    explains), and none of these nine is background. Its weight is the cosine between its normal and the
    direction to the camera, rescaled so that `least_cosine` gives 0.

    Args:
        raster: atlas of the surface.
        photo: (H, W, C) floating point.
        vertices: (V, 3), world of `camera`; triangles: (F, 3).
        camera: one camera, without batch axis, for the pixels of `photo`.
        tolerance: millimetres.
    Returns:
        BakedTexture; colours are 0 where the weight is 0.
    """
    view = view_texels(raster, vertices, triangles, camera, photo.shape[:2], tolerance, least_cosine)
    values = sample(photo[None].detach(), view.pixels[None].to(photo.dtype)).values[0]
    return BakedTexture(values * (view.weight > 0).unsqueeze(-1), view.weight)


def view_texels(
    raster: UvRaster,
    vertices: Tensor,
    triangles: Tensor,
    camera: Camera,
    photo_size: tuple[int, ...],
    tolerance: float = 1.0,
    least_cosine: float = 0.1,
    normals_of_vertices: VertexNormals | None = None,
) -> TexelView:
    """Where one camera sees the texels of a surface, and how well: see `bake_texture`.

    Args:
        photo_size: (H, W) of the photo.
        normals_of_vertices: area-weighted, prepared for the texels' triangles and those around them; saves a
            quarter of the time.
    """
    with torch.no_grad():
        prepared = normals_of_vertices or VertexNormals(triangles, len(vertices), "area")
        normals = raster.interpolate(prepared(vertices), triangles)
        positions = raster.interpolate(vertices, triangles)
        seen = view_points(
            positions.reshape(-1, 3),
            normals.reshape(-1, 3),
            vertices,
            triangles,
            camera,
            photo_size,
            tolerance,
            least_cosine,
        )
        shape = normals.shape[:2]
        weight = seen.weight.reshape(shape) * raster.filled
    return TexelView(seen.pixels.reshape(*shape, 2), seen.depth.reshape(shape), weight)


def view_points(
    points: Tensor,
    normals: Tensor,
    vertices: Tensor,
    triangles: Tensor,
    camera: Camera,
    photo_size: tuple[int, ...],
    tolerance: float = 1.0,
    least_cosine: float = 0.1,
) -> PointView:
    """Where one camera sees points on a surface, and how well: see `bake_texture`.

    Args:
        points, normals: (N, 3), of any length but 0, on the surface that the mesh `vertices` (V, 3),
            `triangles` (F, 3) shows to within `tolerance` millimetres.
        photo_size: (H, W) of the photo.
    """
    with torch.no_grad():
        cosine = (normalised(normals) * normalised(camera.centre - points)).sum(-1)
        pixels, depth = project(points, camera)
        limits = pixels.new_tensor([photo_size[1] - 0.5, photo_size[0] - 0.5])
        seen = ((pixels >= -0.5) & (pixels <= limits)).all(-1)  # False where pixels are NaN
        seen &= cosine > least_cosine
        seen &= _unhidden(points, depth, cosine, vertices, triangles, camera, photo_size, tolerance)
        weight = ((cosine - least_cosine) / (1 - least_cosine)).clamp(0, 1) * seen
    return PointView(pixels, depth, weight)


def merge_textures(baked: list[BakedTexture]) -> BakedTexture:
    """Weighted mean of textures of one surface from several photos; weight = the largest of theirs."""
    if not baked:
        raise ValueError("merge_textures needs at least one texture")
    weights = torch.stack([one.weight for one in baked])
    total = weights.sum(0)
    colors = sum(
        (one.texture * one.weight.unsqueeze(-1) for one in baked), torch.zeros_like(baked[0].texture)
    )
    return BakedTexture(colors / total.clamp(min=1e-12).unsqueeze(-1), weights.amax(0))


def fill_texture(
    baked: BakedTexture, fallback: Tensor, feather: float = 12.0, filled: Tensor | None = None
) -> Tensor:
    """Complete a baked texture: unseen texels come from `fallback` (H, W, C), toned to match, without a seam.

    The ratio of photo to fallback is known where the photo was seen; spread smoothly over the rest
    (push-pull) it gives the fallback the photo's light and skin tone. `feather`: width of the transition,
    texels. `filled`: (H, W) bool, texels that belong to the atlas (`raster.filled`): no transition is made
    towards the others.
    """
    if fallback.shape != baked.texture.shape:
        raise ValueError(
            f"fallback must have shape {tuple(baked.texture.shape)}, not {tuple(fallback.shape)}"
        )
    seen = baked.weight > 0
    if not seen.any():
        return fallback.clone()
    unseen = ~seen if filled is None else ~seen & filled
    inner = torch.full_like(baked.weight, torch.inf)
    if unseen.any():
        inner = torch.from_numpy(distance_transform_edt(~unseen.cpu().numpy())).to(fallback)
    ramp = (inner / max(feather, 1e-6)).clamp(0, 1)
    share = ramp * ramp * (3 - 2 * ramp) * (baked.weight / 0.3).clamp(0, 1)
    known = share * (fallback.amin(-1) > 0.02)
    ratio = (baked.texture / fallback.clamp(min=0.02)).clamp(0.1, 10)
    toned = fallback * push_pull(ratio, known) if (known > 0).any() else fallback
    return baked.texture * share.unsqueeze(-1) + toned * (1 - share).unsqueeze(-1)


def _unhidden(
    points: Tensor,
    depth: Tensor,
    cosine: Tensor,
    vertices: Tensor,
    triangles: Tensor,
    camera: Camera,
    photo_shape: tuple[int, ...],
    tolerance: float,
) -> Tensor:
    """(N,) bool: no part of the surface lies before the point, by a depth map of the surface's own window."""
    outline = project(vertices, camera).pixels
    outline = outline[torch.isfinite(outline).all(-1)]
    visible = torch.zeros_like(depth, dtype=torch.bool)
    if not len(outline):
        return visible
    limits = outline.new_tensor([photo_shape[1], photo_shape[0]])
    low = torch.minimum(outline.amin(0).floor().clamp(min=0), limits - 1)
    high = torch.maximum(torch.minimum(outline.amax(0).ceil() + 1, limits), low + 1)
    window = (int(high[1] - low[1]), int(high[0] - low[0]))
    scale = min(1.0, DEPTH_MAP_LIMIT / max(window))
    size = (max(1, round(window[0] * scale)), max(1, round(window[1] * scale)))
    map_from_photo = resizing(window, size) @ translation(-float(low[0]), -float(low[1]))
    map_camera = camera.cropped(torch.from_numpy(map_from_photo))
    in_camera = map_camera.points_in_camera(vertices)[None]
    nearest = rasterize(in_camera, triangles, map_camera.intrinsics, size).depth
    # Nearest depth of each 3 x 3 neighbourhood, and 0 next to the background.
    front = -torch.nn.functional.max_pool2d(-nearest[:, None], 3, 1, 1)[0, 0]
    covered = torch.isfinite(nearest).to(nearest)
    front = torch.where(
        torch.nn.functional.max_pool2d(1 - covered[:, None], 3, 1, 1)[0, 0] > 0,
        torch.zeros_like(front),
        front,
    )
    pixels = project(points, map_camera).pixels
    finite = torch.isfinite(pixels).all(-1)
    column = torch.where(finite, pixels[:, 0], 0.0).round().long().clamp(0, size[1] - 1)
    row = torch.where(finite, pixels[:, 1], 0.0).round().long().clamp(0, size[0] - 1)
    slope = torch.sqrt((1 - cosine * cosine).clamp(min=0)) / cosine.clamp(min=0.1)
    allowed = tolerance + 2.2 * depth / map_camera.focal_length * slope
    return finite & (depth <= front[row, column] + allowed)
