"""Named regions of the head's vertices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facemill.models.head_builder.landmarks import Curves
from facemill.models.head_builder.parts import (
    LEFT_EYE,
    LOWER_TEETH,
    RIGHT_EYE,
    SKIN,
    TONGUE,
    UPPER_TEETH,
    HeadParts,
)
from facemill.models.head_builder.skin_points import SkinPoints
from facemill.models.head_surface import HeadSurface


def labels_of(parts: HeadParts, surface: HeadSurface) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(V,) part and (V,) pocket of each vertex; on the rim of a pocket the outside wins."""
    count = surface.operator.shape[0]
    part, pocket = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    for label in np.unique(parts.part):
        part[_vertices(surface, parts.part == label)] = label
    for label in (1, 2, 3):
        pocket[_vertices(surface, parts.pocket == label)] = label
    pocket[_vertices(surface, (parts.part == SKIN) & (parts.pocket == 0))] = 0
    return part, pocket


def face_of(parts: HeadParts, surface: HeadSurface) -> NDArray[np.bool_]:
    """(V,) vertices of the refined skin."""
    inside = np.zeros(surface.operator.shape[0], dtype=bool)
    inside[_vertices(surface, parts.refined & (parts.part == SKIN))] = True
    return inside


def name_regions(
    points: SkinPoints, curves: Curves, part: NDArray, pocket: NDArray, face: NDArray[np.bool_]
) -> dict[str, NDArray[np.bool_]]:
    """name -> (V,) bool; `points` are the vertices of the model, in their order."""
    position = points.position
    outer_skin = (part == SKIN) & (pocket == 0)
    ears = outer_skin & (points.ears > 0.5)
    x, y, z = np.abs(position[:, 0]), position[:, 1], position[:, 2]
    base, bridge = curves.nostril_base, curves.bridge
    share = np.clip((bridge[0, 1] - y) / (bridge[0, 1] - base[0, 1]), 0, 1)
    wing = base[-1, 0] + 4.0
    width = 7.0 + (wing - 7.0) * np.clip(share / 0.75, 0, 1) ** 1.3
    behind = np.interp(share, [0.0, 1.0], [bridge[0, 2] - 9.0, base[-1, 2] - 5.0])
    nose = face & (x < width) & (z > behind) & (y < bridge[0, 1] + 1) & (y > base[0, 1] - 0.5)
    lips = face & (points.lips > 0.5)
    brow = points.brow
    brows = face & (brow.distance < 5.5 - 2.5 * brow.share)
    lids = np.minimum(points.upper_lid.distance, points.lower_lid.distance)
    eyes = face & (lids < 7.0) & ~brows
    throat = y < np.interp(
        z, [z[outer_skin].min(), base[0, 2] - 80.0], [curves.lid_lower[0, 1] - 52, bridge[-1, 1] - 78]
    )
    neck = outer_skin & ~face & ~ears & throat
    scalp = outer_skin & ~ears & ~neck & (points.scalp > 0.5)
    smooth = face & ~(lips | brows | eyes | scalp) & (points.openness > 0.3) & (points.mouth.distance > 4.0)
    return {
        "face": face & ~ears & ~neck,
        "skin": smooth & (y > 2 * curves.outer_lower[0, 1] - base[0, 1] - 18.0),
        "eyes": eyes,
        "brows": brows,
        "nose": nose,
        "lips": lips,
        "ears": ears,
        "neck": neck,
        "eyeballs": np.isin(part, (LEFT_EYE, RIGHT_EYE)),
        "mouth_interior": np.isin(part, (UPPER_TEETH, LOWER_TEETH, TONGUE)) | (pocket == 1),
        "scalp": scalp,
    }


def _vertices(surface: HeadSurface, quads: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.unique(surface.triangles[quads[surface.triangle_quads]])
