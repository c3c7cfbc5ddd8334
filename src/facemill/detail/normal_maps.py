"""Normals of the displaced surface as pictures: head frame, and tangent space of the coarse mesh."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facemill.detail.atlas import DetailAtlas
from facemill.detail.surface import displaced_normals
from facemill.faces.tangent_maps import as_colours, tangent_space
from facemill.geometry.mesh import Mesh, normalised, vertex_normals


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

    See `tangent_space`. (0, 0, 1) where the displacement is 0 all around, and off the face.
    """
    topology = atlas.topology
    coarse = Mesh(
        shape.double().cpu().numpy(),
        topology.triangles.cpu().numpy(),
        None,
        topology.uv.double().cpu().numpy(),
        topology.uv_triangles.cpu().numpy(),
    )
    fine = face_normals(atlas, shape, displacement)
    window = tangent_space(coarse, atlas.window_raster, fine)
    flat = torch.tensor([0.0, 0.0, 1.0]).to(window)
    whole = flat.expand(atlas.size, atlas.size, 3).clone()
    top, left, height, width = atlas.window
    whole[top : top + height, left : left + width] = window
    return whole
