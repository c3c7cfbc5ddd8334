"""Normals of the displaced surface as pictures: head frame, and tangent space of the coarse mesh."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facemill.detail.atlas import DetailAtlas
from facemill.detail.surface import displaced_normals
from facemill.formats.glb import split_at_seams
from facemill.geometry.mesh import Mesh, normalised, vertex_normals
from facemill.geometry.tangents import tangent_frames


def face_normals(atlas: DetailAtlas, shape: Tensor, displacement: Tensor) -> Tensor:
    """Normals (h, w, 3) of a face of shape (V, 3) moved by a window map (h, w), head frame; 0 beside it."""
    positions, normals = atlas.smooth_positions(shape), atlas.smooth_normals(shape)
    return displaced_normals(displacement.to(shape), positions, normals)


def object_normal_map(atlas: DetailAtlas, shape: Tensor, displacement: Tensor) -> NDArray[np.uint8]:
    """The normals of the whole head (S, S, 3) as colours: (x, y, z) from -1..1 to 0..255, head frame.

    Off the atlas (0, 0, 1), which is (128, 128, 255).
    """
    raster, triangles = atlas.raster, atlas.topology.triangles
    whole = normalised(raster.interpolate(vertex_normals(shape, triangles, "area"), triangles))
    fine = atlas.whole(face_normals(atlas, shape, displacement).movedim(-1, 0)).movedim(0, -1)
    on_face = atlas.whole(atlas.window_raster.mask)
    normals = torch.where(on_face[..., None], fine, whole)
    outwards = torch.tensor([0.0, 0.0, 1.0]).to(normals)
    return as_colours(torch.where(normals.any(dim=-1, keepdim=True), normals, outwards))


def tangent_normals(atlas: DetailAtlas, shape: Tensor, displacement: Tensor) -> Tensor:
    """The same normals about the axes of the coarse mesh, (S, S, 3): x towards u, y towards v, z outwards.

    A viewer mixes them with the interpolated tangent, bitangent and normal of `write_glb`'s vertices; those
    are not quite at right angles within a triangle, and the numbers are such that the mix is exact all the
    same. (0, 0, 1) where the displacement is 0 all around, and off the face.
    """
    topology = atlas.topology
    mesh = Mesh(
        shape.double().cpu().numpy(),
        topology.triangles.cpu().numpy(),
        None,
        topology.uv.double().cpu().numpy(),
        topology.uv_triangles.cpu().numpy(),
    )
    split = split_at_seams(mesh)
    normals = vertex_normals(shape.double(), topology.triangles, "area").cpu().numpy()[split.vertex]
    assert split.uv is not None  # the mesh has an atlas
    frames = tangent_frames(mesh.vertices[split.vertex], normals, split.uv, split.triangles)
    axes = np.concatenate([frames.tangents, frames.bitangents(normals), normals], axis=1)
    corners = torch.from_numpy(split.triangles).to(shape.device)
    mapped = atlas.window_raster.interpolate(torch.from_numpy(axes).to(shape), corners)
    t, b, n = (normalised(mapped[..., start : start + 3]) for start in (0, 3, 6))
    fine = face_normals(atlas, shape, displacement)
    # Cramer's rule for t x + b y + n z = fine.
    determinant = (torch.linalg.cross(t, b) * n).sum(-1)
    parts = torch.stack(
        [(torch.linalg.cross(p, q) * fine).sum(-1) for p, q in ((b, n), (n, t), (t, b))], dim=-1
    )
    flat = torch.tensor([0.0, 0.0, 1.0]).to(parts)
    usable = atlas.window_raster.mask & (determinant > 0.1)
    window = torch.where(usable[..., None], normalised(parts), flat)
    whole = flat.expand(atlas.size, atlas.size, 3).clone()
    top, left, height, width = atlas.window
    whole[top : top + height, left : left + width] = window
    return whole


def as_colours(normals: Tensor) -> NDArray[np.uint8]:
    """Components -1..1 as 0..255; 0 becomes 128, also when rounding has left it a little below."""
    return ((normals.clamp(-1, 1) + 1) * 127.5 + 1e-3).round().to(torch.uint8).cpu().numpy()
