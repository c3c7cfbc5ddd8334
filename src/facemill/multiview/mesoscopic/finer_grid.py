"""The base surface and what was found on it, texel by texel, at the resolution of the texture."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, map_coordinates

from facemill.models.topology import Topology
from facemill.multiview.rounding import rounding_map
from facemill.multiview.texel_grid import TexelGrid, window_slices
from facemill.rendering.texture import UvRaster
from facemill.runtime.errors import FacemillError

GUTTER = 8


class TextureSizeError(FacemillError):
    """A texture whose side does not fit the maps."""


def finer_window(grid: TexelGrid, size: int) -> tuple[int, int, int, int]:
    """The window of `grid` in maps of `size` texels.

    Raises:
        TextureSizeError: `size` is no multiple of the side of the maps.
    """
    if size % grid.size or size < grid.size:
        raise TextureSizeError(
            f"a texture of {size} texels does not fit maps of {grid.size}",
            f"a multiple of {grid.size}",
            str(size),
            "set blend_texture.size to a multiple of build_uv_maps.size",
        )
    top, left, height, width = (value * (size // grid.size) for value in grid.window)
    return top, left, height, width


def finer_grid(grid: TexelGrid, topology: Topology, vertices: NDArray, size: int) -> TexelGrid:
    """The same window with `size` texels along each side of the whole maps.

    Positions are those of the flat triangles of the base mesh, from which displacements are measured; normals
    are those of `grid`, linearly in between. Views, deviation and truth are not carried over; at its own
    resolution it is `grid` itself.

    Args:
        vertices: (V, 3) of the base mesh, head frame, mm.
    Raises:
        TextureSizeError: see `finer_window`.
    """
    window = finer_window(grid, size)
    height, width = window[2:]
    if size == grid.size:
        return grid
    whole = UvRaster.from_atlas(topology.uv.double().numpy(), topology.uv_triangles.numpy(), size, GUTTER)
    raster = whole.part(*window_slices(window))
    points = torch.from_numpy(np.ascontiguousarray(vertices, dtype=np.float64))
    position = raster.interpolate(points, topology.triangles).numpy()
    share = size // grid.size
    nearest = nearest_filled(np.where(grid.filled[..., None], grid.normal, np.nan))
    normal = np.stack([enlarged(nearest[..., axis], share, order=1) for axis in range(3)], axis=-1)
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-12)
    rounding = rounding_map(raster, topology, vertices, position, normal)
    return TexelGrid(
        size,
        window,
        position,
        normal,
        repeated(grid.mask, share) & raster.mask.numpy(),
        repeated(grid.filled, share) & raster.filled.numpy(),
        np.zeros((height, width), dtype=np.float32),
        rounding,
        np.zeros((height, width, 0), dtype=np.float32),
        (),
        None,
    )


def enlarged(values: NDArray, factor: int, order: int = 3) -> NDArray[np.float64]:
    """A map (H, W) with `factor` times as many texels along each side, read by splines of an order.

    Texel centres keep their places in the atlas; the border repeats.

    >>> enlarged(np.array([[0.0, 2.0]]), 2, order=1)
    array([[0. , 0.5, 1.5, 2. ],
           [0. , 0.5, 1.5, 2. ]])
    """
    plain = np.asarray(values, dtype=np.float64)
    if factor == 1:
        return plain.copy()
    places = [np.clip((np.arange(factor * side) + 0.5) / factor - 0.5, 0, side - 1) for side in plain.shape]
    rows, columns = np.meshgrid(*places, indexing="ij")
    return np.asarray(map_coordinates(plain, [rows, columns], order=order, mode="nearest"))


def repeated(values: NDArray, factor: int) -> NDArray:
    """A map (H, W, ...) whose texels become squares of `factor` x `factor`."""
    return values.repeat(factor, axis=0).repeat(factor, axis=1)


def nearest_filled(values: NDArray) -> NDArray[np.float64]:
    """A map (H, W) or (H, W, C) whose NaN become the nearest known texel; all NaN become 0."""
    plain = np.asarray(values, dtype=np.float64)
    known = np.isfinite(plain) if plain.ndim == 2 else np.isfinite(plain).all(axis=-1)
    if not known.any():
        return np.zeros_like(plain)
    rows, columns = distance_transform_edt(~known, return_distances=False, return_indices=True)
    return plain[rows, columns]
