"""The parts of a face, texel by texel, in which a surface is judged apart."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray

from facemill.faces.face_areas import face_areas, landmark_places, measure_face, within
from facemill.models.topology import Topology
from facemill.multiview.texel_grid import TexelGrid
from facemill.rendering.texture import UvRaster

#: Regions of the model that count first, in this order.
OF_MODEL = ("lips", "eyes", "nose")
#: What is left, by the areas of `faces.face_areas`.
OF_AREAS = MappingProxyType(
    {
        "glabella": "forehead",
        "forehead": "forehead",
        "crows_feet": "cheeks",
        "under_eye": "cheeks",
        "nasolabial": "cheeks",
        "cheeks": "cheeks",
        "mouth": "around the mouth",
        "chin": "chin",
    }
)
REST = "sides"
NEEDED_LANDMARKS = (27, 33, 36, 45)


def texel_regions(topology: Topology, grid: TexelGrid) -> dict[str, NDArray[np.bool_]]:
    """Name -> (H, W) of the texels of the face; together they are the face, and no two overlap.

    A texel is of a region of the model if two corners of its triangle are. A model without landmarks in its
    face has no other regions than its own, and `sides` for the rest.
    """
    raster = UvRaster.from_atlas(topology.uv.double().numpy(), topology.uv_triangles.numpy(), grid.size, 1)
    ids = raster.triangle_ids.numpy()[grid.part]
    free = grid.mask.copy()
    found: dict[str, NDArray[np.bool_]] = {}
    for name in OF_MODEL:
        if name in topology.regions:
            most = (topology.regions[name][topology.triangles].sum(dim=1) >= 2).numpy()
            found[name] = free & most[ids]
            free &= ~found[name]
    places = landmark_places(topology, torch.nonzero(within(topology, "face"))[:, 0])
    if np.isfinite(places[list(NEEDED_LANDMARKS)]).all():
        measure = measure_face(places, grid.size, grid.window)
        for area, texels in face_areas(measure, torch.from_numpy(free.astype(np.float32))).items():
            name = OF_AREAS[area]
            found[name] = found.get(name, False) | texels.numpy()
            free &= ~texels.numpy()
    return {name: texels for name, texels in (found | {REST: free}).items() if texels.any()}
