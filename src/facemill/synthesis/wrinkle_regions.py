"""Parts of the face by the folds that they have: where a measurement of wrinkles looks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from facemill.synthesis.displacement import FoldMap
from facemill.synthesis.surfaces import Surface

_REACH = 7.0  # mm from a fold
#: Which families of folds (beginnings of their names) make a region.
_FAMILIES = {
    "forehead": ("forehead",),
    "glabella": ("frown", "nasion"),
    "crows_feet": ("crows_feet",),
    "under_eye": ("under_eye",),
    "nose": ("bunny",),
    "nasolabial": ("nasolabial",),
    "cheeks": ("smile_outer", "dimple"),
    "mouth": ("lip", "marionette"),
    "chin": ("chin_crease",),
}


def regions_of(fold_map: FoldMap, surface: Surface) -> dict[str, NDArray[np.bool_]]:
    """Name -> (n,) bool: vertices within 7 mm of a fold of the region, on the mean head; they may overlap."""
    found = {}
    for name, families in _FAMILIES.items():
        lines = [fold_map.front.laid(fold.line) for fold in fold_map.folds if fold.name.startswith(families)]
        distance, _ = cKDTree(np.concatenate(lines)).query(surface.rest, distance_upper_bound=_REACH)
        found[name] = np.asarray(np.isfinite(distance))
    return found
