"""What `regularize_surface` writes: `regularized.npz` and `surface.ply`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facemill.formats.meshes import write_ply
from facemill.formats.surface_maps import SurfaceMap, write_no_surface, write_surface_map
from facemill.multiview.fitted_capture import FittedViews
from facemill.multiview.texel_grid import TexelGrid
from facemill.runtime.files import write_bytes


def write_regularized(
    fitted: FittedViews, grid: TexelGrid, surface: SurfaceMap, arrays: str | Path, mesh: str | Path
) -> None:
    """Write the map, and the face as a mesh of the capture's world: X = scale R x + t of the base mesh.

    The unit is the world's: millimetres, or its own where that is unknown.
    """
    write_surface_map(arrays, surface)
    head = grid.mesh(surface.displacement)
    write_ply(mesh, head.with_vertices(in_world(fitted, head.vertices)))


def write_nothing(status: str, reason: str, arrays: str | Path, mesh: str | Path) -> None:
    """Write why a capture has no surface: a map without arrays, a PLY of no vertex with the reason in it."""
    write_no_surface(arrays, status, reason)
    words = " ".join(f"{status}: {reason}".split()).encode("ascii", "replace").decode("ascii")
    lines = [
        "ply",
        "format binary_little_endian 1.0",
        f"comment no surface: {words}",
        "element vertex 0",
        "property float x",
        "property float y",
        "property float z",
        "element face 0",
        "property list uchar int vertex_indices",
        "end_header\n",
    ]
    write_bytes(mesh, "\n".join(lines).encode("ascii"))


def in_world(fitted: FittedViews, points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Points (N, 3) of the head frame, mm, in the capture's world."""
    base = fitted.fitted
    return base.scale * np.asarray(points, dtype=np.float64) @ base.rotation.T + base.translation
