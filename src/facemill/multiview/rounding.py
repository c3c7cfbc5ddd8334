"""How far a smooth surface through the vertices of a base mesh lies above the positions of its texels."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from facemill.geometry.curved_triangles import curved_points
from facemill.geometry.mesh import VertexNormals
from facemill.models.topology import Topology
from facemill.rendering.texture import UvRaster


def rounding_map(
    raster: UvRaster, topology: Topology, vertices: NDArray, position: NDArray, normal: NDArray
) -> NDArray[np.float32]:
    """(H, W) mm along the normals from texels to the smooth surface (`curved_points`); 0 off the atlas.

    Displacements are measured from the texels of flat triangles, whose edges no face has. What is to be
    smooth is a displacement less this map.

    Args:
        raster: of the atlas, H x W texels. vertices: (V, 3) mm; position, normal: (H, W, 3), one frame.
    """
    ids, filled = raster.triangle_ids.numpy(), raster.filled.numpy()
    points = np.ascontiguousarray(vertices, dtype=np.float64)
    of_vertices = VertexNormals(topology.triangles, len(points), "area")(torch.from_numpy(points)).numpy()
    corners = topology.triangles.numpy()[ids[filled]]
    curved = curved_points(points[corners], of_vertices[corners], raster.barycentrics.numpy()[filled])
    found = np.zeros(ids.shape, dtype=np.float32)
    found[filled] = ((curved - position[filled]) * normal[filled]).sum(axis=-1)
    return found
