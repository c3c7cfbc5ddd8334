"""The model's own mesh on the surface that was found, in several levels of detail."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from facemill.faces.tangent_maps import as_colours, tangent_space
from facemill.geometry.mesh import Mesh, normalised, vertex_normals
from facemill.multiview.displaced_head import DisplacedHead
from facemill.multiview.fine_mesh import FineMesh, refine_face
from facemill.rendering.texture import UvRaster, sample_texture

COARSER = 4.0  # edges of a level of detail against those of the one before


@dataclass(frozen=True)
class DetailLevel:
    """A coarser mesh, head frame, mm, and the normals of the finest: (T, T, 3) uint8, tangent space."""

    edge: float
    mesh: Mesh
    normal_map: NDArray[np.uint8]


def displace_mesh(head: DisplacedHead, edge: float) -> Mesh:
    """The model's mesh with edges of about `edge` mm in the face, each vertex moved along the smooth normals.

    Vertices on a seam of the atlas are moved once, so the mesh has no crack that the model's has not.
    """
    return head.displaced(refine_face(head.topology, head.vertices, edge))


def detail_levels(finest: Mesh, smooth: DisplacedHead, edge: float, levels: int) -> list[DetailLevel]:
    """Coarser meshes with a normal map each that makes them look like the finest.

    Args:
        finest: what `displace_mesh` made. smooth: the head without its finest relief, which a coarse mesh
            would show as noise. edge: of the finest, mm. levels: how many there are, the finest included.
    """
    if levels < 2:
        return []
    assert finest.uv is not None and finest.uv_triangles is not None  # the model has an atlas
    size = len(smooth.raster.mask)
    triangles = torch.from_numpy(np.ascontiguousarray(finest.triangles))
    fine_raster = UvRaster.from_atlas(finest.uv, finest.uv_triangles, size)
    of_vertices = vertex_normals(torch.from_numpy(np.asarray(finest.vertices)), triangles, "area")
    normals = normalised(fine_raster.interpolate(of_vertices, triangles))
    found = []
    for level in range(1, levels):
        length = edge * COARSER**level
        fine: FineMesh = refine_face(smooth.topology, smooth.vertices, length)
        mesh = smooth.displaced(fine)
        raster = UvRaster.from_atlas(fine.uv, fine.uv_triangles, size)
        baked = as_colours(tangent_space(mesh, raster, normals))
        found.append(DetailLevel(length, mesh, baked))
    return found


def vertex_colours(mesh: Mesh, texture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(V, 3) 0..1: the texture (H, W, 3) at each vertex, the mean of its places in the atlas."""
    assert mesh.uv is not None and mesh.uv_triangles is not None  # the model has an atlas
    layer = torch.from_numpy(texture.astype(np.float64) / 255)
    read = sample_texture(layer[None], torch.from_numpy(np.asarray(mesh.uv))[None])[0].numpy()
    pairs = np.unique(mesh.triangles.astype(np.int64).ravel() * len(mesh.uv) + mesh.uv_triangles.ravel())
    vertex, place = np.divmod(pairs, len(mesh.uv))
    count = len(mesh.vertices)
    sums = sparse.csr_matrix((np.ones(len(pairs)), (vertex, place)), shape=(count, len(mesh.uv)))
    return np.asarray((sums @ read) / np.maximum(np.bincount(vertex, minlength=count), 1)[:, None])
