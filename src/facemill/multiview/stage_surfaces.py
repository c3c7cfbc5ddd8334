"""The surfaces that the stages of one capture left, as meshes in the head frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facemill.formats.surface_maps import MappedSurface, SurfaceMap, read_surface_map
from facemill.geometry.mesh import Mesh
from facemill.models.topology import Topology
from facemill.multiview.capture_files import MappedCapture
from facemill.multiview.face_regions import texel_regions
from facemill.multiview.mesoscopic.finer_grid import finer_grid, finer_window
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
    head = capture.fitted.head
    base = grid.mesh(np.zeros(grid.mask.shape))
    texels = texels_of(base, grid.size, grid.window)
    found = {name: _read(files.get(name, "")) for name in dict.fromkeys((*STAGES, *files))}
    return StageMeshes(
        capture.fitted.status,
        capture.fitted.reason,
        base,
        (grid.visibility > 0).sum(axis=-1)[texels],
        {name: region[texels] for name, region in texel_regions(topology, grid).items()},
        {name: _stage(name, one, grid, base, texels, topology, head) for name, one in found.items()},
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
    topology: Topology,
    head: NDArray[np.float64],
) -> StageMesh:
    surface = found.surface
    if surface is None:
        return StageMesh(None, found.reason or found.status)
    if surface.size != grid.size:
        return _finer(name, surface, grid, topology, head)
    if surface.window != grid.window:
        raise _elsewhere(name, surface, grid)
    moved = surface.displacement[texels].astype(np.float64)
    known = np.isfinite(moved)
    vertices = base.vertices + grid.normal[texels] * np.where(known, moved, 0.0)[:, None]
    # The triangles of the base mesh, not new ones: so a wild displacement counts, and holes are exactly where
    # the base mesh has a triangle with a corner that is not known.
    triangles = base.triangles[known[base.triangles].all(axis=1)]
    return StageMesh(Mesh(vertices, triangles), "", None if known.all() else known)


def _finer(
    name: str, surface: SurfaceMap, grid: TexelGrid, topology: Topology, head: NDArray[np.float64]
) -> StageMesh:
    """A map of the texture's resolution."""
    if surface.size % grid.size or surface.window != finer_window(grid, surface.size):
        raise _elsewhere(name, surface, grid)
    fine = finer_grid(grid, topology, head, surface.size)
    mask = fine.mask & np.isfinite(surface.displacement)
    return StageMesh(fine.mesh(np.where(mask, surface.displacement, 0.0), mask))


def _elsewhere(name: str, surface: SurfaceMap, grid: TexelGrid) -> FormatError:
    return FormatError(
        f"the map of the stage {name} is not of this capture",
        f"the window {grid.window} of {grid.size} texels, or the same place at another resolution",
        f"{surface.window} of {surface.size}",
        "make it again with its rule",
    )
