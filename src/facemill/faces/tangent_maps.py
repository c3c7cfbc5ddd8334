"""Normal maps in the tangent space of a mesh: what game engines and viewers put on coarse meshes."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facemill.formats.glb import split_at_seams
from facemill.geometry.mesh import Mesh, normalised, vertex_normals
from facemill.geometry.tangents import tangent_frames
from facemill.rendering.texture import UvRaster


def tangent_space(mesh: Mesh, raster: UvRaster, normals: Tensor) -> Tensor:
    """Normals (H, W, 3) about the axes of a mesh: x towards growing u, y towards growing v, z outwards.

    A viewer mixes them with the interpolated tangent, bitangent and normal of `write_glb`'s vertices; those
    are not quite at right angles within a triangle, and the numbers are such that the mix is exact all the
    same. (0, 0, 1) off the islands of the atlas, and where a normal looks into the surface.

    Args:
        mesh: with an atlas. raster: H x W texels over the mesh's atlas (`mesh.uv_triangles`, row by row).
        normals: unit length, frame of the mesh; of the finer surface that the map stands for.
    Raises:
        ValueError: a mesh without an atlas.
    """
    split = split_at_seams(mesh)
    if split.uv is None:
        raise ValueError("mesh: expected one with uv, found none")
    points, triangles = (
        torch.from_numpy(np.asarray(mesh.vertices)),
        torch.from_numpy(np.asarray(mesh.triangles)),
    )
    own = vertex_normals(points.double(), triangles.long(), "area").numpy()[split.vertex]
    frames = tangent_frames(mesh.vertices[split.vertex], own, split.uv, split.triangles)
    axes = np.concatenate([frames.tangents, frames.bitangents(own), own], axis=1)
    corners = torch.from_numpy(split.triangles).to(normals.device)
    mapped = raster.interpolate(torch.from_numpy(axes).to(normals), corners)
    t, b, n = (normalised(mapped[..., start : start + 3]) for start in (0, 3, 6))
    # Cramer's rule for t x + b y + n z = normal.
    determinant = (torch.linalg.cross(t, b) * n).sum(-1)
    parts = torch.stack(
        [(torch.linalg.cross(p, q) * normals).sum(-1) for p, q in ((b, n), (n, t), (t, b))], dim=-1
    )
    usable = raster.mask & (determinant > 0.1)
    return torch.where(usable[..., None], normalised(parts), torch.tensor([0.0, 0.0, 1.0]).to(parts))


def as_colours(normals: Tensor) -> NDArray[np.uint8]:
    """Components -1..1 as 0..255; 0 becomes 128, also when rounding has left it a little below."""
    return ((normals.clamp(-1, 1) + 1) * 127.5 + 1e-3).round().to(torch.uint8).cpu().numpy()
