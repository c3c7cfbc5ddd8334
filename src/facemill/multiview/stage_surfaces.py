"""The surfaces that the stages of one capture left, as meshes in the head frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facemill.formats.surface_maps import MappedSurface, SurfaceMap, read_surface_map
from facemill.geometry.grid_surface import grid_mesh
from facemill.geometry.mesh import Mesh
from facemill.models.topology import Topology
from facemill.multiview.capture_files import MappedCapture
from facemill.multiview.face_regions import texel_regions
from facemill.multiview.texel_grid import TexelGrid
from facemill.runtime.errors import FormatError

#: The stages in their order, as reports name them.
STAGES = ("classical", "implicit", "regularized", "mesoscopic")
NO_FILE = "it was not made"


@dataclass(frozen=True)
class StageMesh:
    """One stage: `mesh` in the head frame, mm, or None, and `reason`, why.

    known: (N,) vertices of the base mesh at which it measured something; None of a surface without holes.
    """

    mesh: Mesh | None
    reason: str = ""
    known: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class StageMeshes:
    """The stages of a capture over the N texels of its face.

    status, reason: of the capture. base: (N vertices) the base mesh over these texels, head frame, mm; None
    unless `status` is `ok`. seen: (N,) how many views see each. regions: name -> (N,). stages: by name.
    """

    status: str
    reason: str
    base: Mesh | None = None
    seen: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    regions: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    stages: Mapping[str, StageMesh] = field(default_factory=dict)


def read_stage_meshes(
    capture: MappedCapture, topology: Topology, files: Mapping[str, str | Path]
) -> StageMeshes:
    """The surfaces of a capture.

    Args:
        files: the map (`formats.surface_maps`) of each stage by name. A stage that is left out, an empty
            path, or a path where no file is, is a stage that was not made.
    Raises:
        FormatError: a file is damaged, or its map lies elsewhere than those of the capture.
    """
    if capture.grid is None:
        return StageMeshes(capture.fitted.status, capture.fitted.reason)
    grid = capture.grid
    base = grid.mesh(np.zeros(grid.mask.shape))
    texels = texels_of(base, grid.size, grid.window)
    found = {name: _read(files.get(name, "")) for name in dict.fromkeys((*STAGES, *files))}
    return StageMeshes(
        capture.fitted.status,
        capture.fitted.reason,
        base,
        (grid.visibility > 0).sum(axis=-1)[texels],
        {name: region[texels] for name, region in texel_regions(topology, grid).items()},
        {name: _stage(name, one, grid, base, texels) for name, one in found.items()},
    )


def texels_of(
    mesh: Mesh, size: int, window: tuple[int, int, int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns (N,) in the window of the texels that the vertices of a mesh of `grid_mesh` are."""
    if mesh.uv is None:
        raise ValueError("mesh: expected uv, as grid_mesh gives it")
    columns = np.rint(mesh.uv[:, 0] * size - 0.5).astype(np.int64) - window[1]
    rows = np.rint((1 - mesh.uv[:, 1]) * size - 0.5).astype(np.int64) - window[0]
    return rows, columns


def _read(path: str | Path) -> MappedSurface:
    """What a stage left, or why there is nothing."""
    if not str(path) or not Path(path).is_file():
        return MappedSurface("not_made", NO_FILE, None)
    return read_surface_map(path)


def _stage(
    name: str,
    found: MappedSurface,
    grid: TexelGrid,
    base: Mesh,
    texels: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> StageMesh:
    surface = found.surface
    if surface is None:
        return StageMesh(None, found.reason or found.status)
    if surface.size != grid.size:
        return _finer(name, surface, grid)
    if surface.window != grid.window:
        raise _elsewhere(name, surface, grid)
    moved = surface.displacement[texels].astype(np.float64)
    known = np.isfinite(moved)
    vertices = base.vertices + grid.normal[texels] * np.where(known, moved, 0.0)[:, None]
    # The triangles of the base mesh, not new ones: so a wild displacement counts, and holes are exactly where
    # the base mesh has a triangle with a corner that is not known.
    triangles = base.triangles[known[base.triangles].all(axis=1)]
    return StageMesh(Mesh(vertices, triangles), "", None if known.all() else known)


def _finer(name: str, surface: SurfaceMap, grid: TexelGrid) -> StageMesh:
    """A map of another resolution: the base surface is read between the texels of the grid, linearly."""
    scale = surface.size / grid.size
    if surface.window != tuple(round(side * scale) for side in grid.window):
        raise _elsewhere(name, surface, grid)
    position, normal, mask = finer_grid(grid, surface.size, surface.window)
    mask &= np.isfinite(surface.displacement)
    moved = position + normal * np.where(mask, surface.displacement, 0.0)[..., None]
    return StageMesh(grid_mesh(moved, normal, mask, surface.size, surface.window[:2]))


def finer_grid(
    grid: TexelGrid, size: int, window: tuple[int, int, int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Position (h, w, 3), unit normal (h, w, 3) and mask (h, w) of a grid at the texels of a window of finer
    maps (`size` x `size`), bilinear.

    A texel belongs to the mask if the four texels of the grid around it do.
    """
    rows, columns = (
        (np.arange(first, first + count) + 0.5) * grid.size / size - 0.5 - start
        for first, count, start in zip(window[:2], window[2:], grid.window[:2], strict=True)
    )
    height, width = grid.mask.shape
    inside = ((rows >= 0) & (rows <= height - 1))[:, None] & (columns >= 0) & (columns <= width - 1)
    top, left = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
    first_row = np.minimum(top.astype(np.int64), height - 2)
    first_column = np.minimum(left.astype(np.int64), width - 2)
    down, right = (top - first_row)[:, None], left - first_column
    whole = inside.copy()
    both = np.zeros((len(rows), len(columns), 6))
    values = np.concatenate([grid.position, grid.normal], axis=-1)
    for row, column, share in (
        (0, 0, (1 - down) * (1 - right)),
        (0, 1, (1 - down) * right),
        (1, 0, down * (1 - right)),
        (1, 1, down * right),
    ):
        chosen = np.ix_(first_row + row, first_column + column)
        both += share[..., None] * values[chosen]
        whole &= grid.mask[chosen] | (share == 0)
    position, normal = both[..., :3], both[..., 3:]
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    return position, np.divide(normal, length, out=np.zeros_like(normal), where=length > 0), whole


def _elsewhere(name: str, surface: SurfaceMap, grid: TexelGrid) -> FormatError:
    return FormatError(
        f"the map of the stage {name} is not of this capture",
        f"the window {grid.window} of {grid.size} texels, or the same place at another resolution",
        f"{surface.window} of {surface.size}",
        "make it again with its rule",
    )
