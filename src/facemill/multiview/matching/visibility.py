"""Which views see which texels of a displaced surface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from facemill.geometry.camera import Camera
from facemill.geometry.mesh import vertex_normals
from facemill.models.topology import Topology
from facemill.multiview.texel_grid import TexelGrid
from facemill.rendering.texture import view_points

INNER = 2  # texels between a triangle of the head and the border of the mask, for the grid to replace it


@dataclass(frozen=True)
class Surroundings:
    """The head around and under the texels of a grid: what may hide them.

    vertices: (V, 3) base mesh, head frame, mm; normals: (V, 3) unit. triangles: (F, 3) of the head that the
        grid does not replace: outside of the face, and across its border, so that no gap opens there.
    texels: (V,) the flat index into the window of the texel at each vertex, -1 beside `grid.mask`.
    """

    vertices: NDArray[np.float64]
    normals: NDArray[np.float64]
    triangles: NDArray[np.int64]
    texels: NDArray[np.int64]


def surroundings_of(grid: TexelGrid, head: NDArray[np.float64], topology: Topology) -> Surroundings:
    """Prepare the occluders of a grid; `head` (V, 3) vertices of its base mesh, head frame."""
    height, width = grid.mask.shape
    uv = topology.uv.double().numpy()
    columns = np.rint(uv[:, 0] * grid.size - 0.5).astype(np.int64) - grid.window[1]
    rows = np.rint((1 - uv[:, 1]) * grid.size - 0.5).astype(np.int64) - grid.window[0]
    within = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    place = np.where(within, rows * width + columns, 0)
    shown = within & grid.mask.ravel()[place]
    inner = within & _eroded(grid.mask, INNER).ravel()[place]
    table, uv_table = topology.triangles.numpy(), topology.uv_triangles.numpy()
    texels = np.full(len(head), -1, dtype=np.int64)
    corners = np.unique(uv_table.ravel(), return_index=True)
    at, of = corners[0], table.ravel()[corners[1]]
    texels[of[shown[at]]] = place[at[shown[at]]]
    replaced = inner[uv_table].all(axis=1)
    points = torch.from_numpy(np.ascontiguousarray(head, dtype=np.float64))
    normals = vertex_normals(points, topology.triangles, "area").numpy()
    return Surroundings(points.numpy(), normals, table[~replaced], texels)


def displaced_visibility(
    grid: TexelGrid,
    displacement: NDArray[np.floating],
    surroundings: Surroundings,
    views: Sequence[tuple[Camera, tuple[int, int]]],
    tolerance: float = 1.0,
) -> NDArray[np.float32]:
    """(H, W, V): cosine between the displaced surface's normal and the direction to each view, 0 where the
    view does not see it: turned away, beyond the picture, or behind the displaced surface or the head.

    Args:
        displacement: (H, W) mm, finite on `grid.mask`; smooth (its normals decide).
        views: camera for the head frame, and (height, width) of its picture.
        tolerance: mm by which something must be in front to hide, besides what the slope explains.
    Raises:
        ValueError: a displacement on the mask is not finite.
    """
    moved = np.where(grid.mask, displacement, 0)
    if not np.isfinite(moved).all():
        raise ValueError("displacement must be finite on grid.mask")
    mesh = grid.mesh(moved)
    places = surroundings.texels
    of_vertices = np.where(places >= 0, moved.ravel()[np.maximum(places, 0)], 0)
    head = surroundings.vertices + surroundings.normals * of_vertices[:, None]
    vertices = torch.from_numpy(np.concatenate([mesh.vertices, head]))
    triangles = torch.from_numpy(
        np.concatenate([mesh.triangles, surroundings.triangles + len(mesh.vertices)])
    )
    points = grid.displaced(moved)
    flat = torch.from_numpy(points[grid.mask])
    normals = torch.from_numpy(grid_normals(points, grid.mask, grid.normal)[grid.mask])
    found = np.zeros((*grid.mask.shape, len(views)), dtype=np.float32)
    for number, (camera, size) in enumerate(views):
        seen = view_points(flat, normals, vertices, triangles, camera, size, tolerance, least_cosine=0.0)
        found[grid.mask, number] = seen.weight.float().numpy()
    return found


def grid_normals(
    points: NDArray[np.floating], mask: NDArray[np.bool_], reference: NDArray[np.floating]
) -> NDArray[np.float64]:
    """(H, W, 3) unit normals of a grid of points (H, W, 3): cross product of the differences between the
    neighbours of each texel along rows and columns (one-sided at the border of the mask).

    They point to the side of `reference` (H, W, 3), which also stands in where there are no neighbours.
    """
    along_columns, along_rows = (_differences(np.asarray(points), mask, axis) for axis in (1, 0))
    normals = np.cross(along_columns, along_rows)
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    normals = np.where(length > 0, normals / np.maximum(length, 1e-30), reference)
    side = np.einsum("rcx,rcx->rc", normals, np.asarray(reference, dtype=np.float64))
    return np.where(side[..., None] < 0, -normals, normals)


def _differences(points: NDArray, mask: NDArray[np.bool_], axis: int) -> NDArray[np.float64]:
    """(H, W, 3) from the neighbour before to the one after; from or to the texel itself where one is
    missing; 0 where both are."""
    moved, inside = np.moveaxis(points, axis, 0), np.moveaxis(mask, axis, 0)
    before, after = moved.copy(), moved.copy()
    before[1:] = np.where(inside[:-1, ..., None], moved[:-1], moved[1:])
    after[:-1] = np.where(inside[1:, ..., None], moved[1:], moved[:-1])
    return np.moveaxis(after - before, 0, axis)


def _eroded(mask: NDArray[np.bool_], steps: int) -> NDArray[np.bool_]:
    return np.asarray(binary_erosion(mask, np.ones((3, 3), dtype=bool), iterations=steps))
