"""Where on a face relief may be, and the areas by which it is judged."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from facemill.models.topology import Topology
from facemill.multiview.texel_grid import TexelGrid
from facemill.rendering.texture import UvRaster

#: Width of the soft border, mm.
FADE = 3.0
#: Regions without relief: hair, or moist surfaces that mirror lamps.
WITHOUT_RELIEF = ("eyeballs", "mouth_interior", "brows", "scalp", "ears", "neck")
#: mm around the line between the lips, the rims of the lids, and the middle of a nostril, without relief.
LIP_SLIT, LID_RIM, NOSTRIL = 1.5, 2.0, 5.0
INNER_LIPS, RIGHT_LIDS, LEFT_LIDS = slice(60, 68), slice(36, 42), slice(42, 48)
AREAS = ("nose", "lips", "forehead", "chin", "cheeks", "rest")


def relief_zone(grid: TexelGrid, topology: Topology, vertices: NDArray) -> NDArray[np.float64]:
    """(H, W) 0..1: how much of the relief a texel may show; 0 at brows, eyes, nostrils, between the lips and
    beyond the border of the face, growing smoothly over `FADE` mm.

    Args:
        vertices: (V, 3) of the base mesh, head frame, mm.
    """
    allowed = grid.mask.copy()
    for region in region_maps(grid, topology, [n for n in WITHOUT_RELIEF if n in topology.regions]).values():
        allowed &= ~region
    points = landmark_points(topology, vertices)
    for part, free in ((INNER_LIPS, LIP_SLIT), (RIGHT_LIDS, LID_RIM), (LEFT_LIDS, LID_RIM)):
        rim = points[part]
        if np.isfinite(rim).all():
            lines = pairwise(np.vstack([rim, rim[:1]]))
            distance = np.minimum.reduce([_to_segment(grid.position, a, b) for a, b in lines])
            allowed &= (distance > free) & ~_within(grid.position, rim)
    for wing in (31, 35):
        # Under the tip, half way from the base of the nose to the foot of a wing and a little forwards.
        middle = (points[wing] + points[33]) / 2 + 0.25 * (points[30] - points[33])
        if np.isfinite(middle).all():
            allowed &= np.linalg.norm(grid.position - middle, axis=-1) > NOSTRIL
    distance = distance_transform_edt(np.pad(allowed, 1), sampling=texel_sides(grid))[1:-1, 1:-1]
    share = np.clip(distance / FADE, 0, 1)
    return np.asarray(share * share * (3 - 2 * share))


def face_areas(grid: TexelGrid, topology: Topology, vertices: NDArray) -> dict[str, NDArray[np.bool_]]:
    """`AREAS`, (H, W) each: parts of the mask that do not overlap and cover it together."""
    points = landmark_points(topology, vertices)
    named = region_maps(grid, topology, [name for name in ("nose", "lips") if name in topology.regions])
    nothing = np.zeros(grid.mask.shape, dtype=bool)
    across, up = np.abs(grid.position[..., 0]), grid.position[..., 1]
    brow, eye = np.nanmean(points[17:27, 1]), np.nanmean(points[36:48, 1])
    lower_lip, corner = points[57, 1], np.nanmean(np.abs(points[[48, 54], 0]))
    claims = {
        "nose": named.get("nose", nothing),
        "lips": named.get("lips", nothing),
        "forehead": up > brow + 3,
        "chin": (up < lower_lip - 4) & (across < corner + 4),
        "cheeks": (up < eye - 8) & (across > np.nanmean(np.abs(points[[31, 35], 0])) + 3),
    }
    left, found = grid.mask.copy(), {}
    for name, claim in claims.items():
        found[name] = claim & left
        left &= ~claim
    return {**found, "rest": left}


def region_maps(grid: TexelGrid, topology: Topology, names: list[str]) -> dict[str, NDArray[np.bool_]]:
    """Regions of the model over the window of a grid: texels nearer to vertices inside than to others."""
    raster = UvRaster.from_atlas(topology.uv.double().numpy(), topology.uv_triangles.numpy(), grid.size, 8)
    if not names:
        return {}
    inside = torch.stack([topology.regions[name].float() for name in names], dim=1)
    shares = raster.interpolate(inside, topology.triangles).numpy()[grid.part]
    return {name: shares[..., number] > 0.5 for number, name in enumerate(names)}


def landmark_points(topology: Topology, vertices: NDArray) -> NDArray[np.float64]:
    """(68, 3) landmarks of a mesh; NaN where the model has none."""
    ids = topology.landmarks68.numpy()
    return np.where(ids[:, None] >= 0, np.asarray(vertices, dtype=np.float64)[ids], np.nan)


def texel_sides(grid: TexelGrid) -> tuple[float, float]:
    """Millimetres from one texel to the next down and across, the median over the face."""
    down = np.linalg.norm(np.diff(grid.position, axis=0), axis=-1)[grid.mask[1:] & grid.mask[:-1]]
    across = np.linalg.norm(np.diff(grid.position, axis=1), axis=-1)[grid.mask[:, 1:] & grid.mask[:, :-1]]
    return float(np.median(down)) if down.size else 1.0, float(np.median(across)) if across.size else 1.0


def _within(places: NDArray, rim: NDArray) -> NDArray[np.bool_]:
    """Places (..., 3) as near to the longest line through a rim (N, 3) as the rim itself is: its inside."""
    gaps = np.linalg.norm(rim[:, None] - rim[None], axis=-1)
    start, end = (rim[number] for number in np.unravel_index(gaps.argmax(), gaps.shape))
    return _to_segment(places, start, end) < _to_segment(rim, start, end).max()


def _to_segment(places: NDArray, start: NDArray, end: NDArray) -> NDArray[np.float64]:
    """Distance of places (..., 3) to a segment."""
    run = end - start
    share = np.clip(((places - start) @ run) / max(float(run @ run), 1e-12), 0, 1)
    return np.asarray(np.linalg.norm(places - start - share[..., None] * run, axis=-1))
