"""Small sheets of texels, and matches on them."""

import numpy as np

from facemill.formats.surface_maps import SurfaceMap
from facemill.multiview.texel_grid import TexelGrid

UP = np.array([0.0, 0.0, 1.0])


def sheet(height=24, width=32, spacing=(0.5, 0.8), truth=None, views=4) -> TexelGrid:
    """A flat sheet, texels 0.5 mm apart along columns and 0.8 mm along rows; the mask lacks a margin."""
    rows, columns = np.mgrid[:height, :width].astype(float)
    position = np.stack([spacing[1] * columns, -spacing[0] * rows, 0 * rows], axis=-1)
    mask = np.zeros((height, width), dtype=bool)
    mask[1:-1, 1:-1] = True
    return TexelGrid(
        64,
        (8, 16, height, width),
        position,
        np.broadcast_to(UP, position.shape).copy(),
        mask,
        np.ones_like(mask),
        np.full((height, width), 0.2, dtype=np.float32),
        np.zeros((height, width), dtype=np.float32),
        np.full((height, width, views), 0.9, dtype=np.float32),
        tuple("abcdefgh"[:views]),
        truth,
    )


def scored(grid: TexelGrid, surface, samples=17, step=0.1, offset=0.0, peak=0.12, random=None) -> SurfaceMap:
    """Matches whose scores have a bump of the width `peak` (mm) at `surface` (H, W), in a band around it.

    offset: (H, W) or number, mm by which the band's middle is off. NaN of `surface` is not known.
    """
    known = grid.mask & np.isfinite(surface)
    truth = np.where(known, surface, 0.0)
    start = truth + offset - step * (samples - 1) / 2
    places = start[..., None] + step * np.arange(samples)
    scores = 0.8 * np.exp(-0.5 * ((places - truth[..., None]) / peak) ** 2)
    if random is not None:
        scores = scores + 0.1 * random.random(scores.shape)
    scores = np.where(known[..., None], scores.clip(0, 1), np.nan)
    more = {
        "start": start.astype(np.float32),
        "step": np.array(step, dtype=np.float32),
        "scores": scores.astype(np.float16),
        "views": np.full(grid.mask.shape, 4, dtype=np.uint8),
        "queries": np.array(scores.size),
    }
    best = np.take_along_axis(places, np.nan_to_num(scores, nan=-1.0).argmax(-1)[..., None], -1)[..., 0]
    return SurfaceMap(
        grid.size,
        grid.window,
        np.where(known, best, np.nan).astype(np.float32),
        np.where(known, 0.9, 0.0).astype(np.float32),
        known,
        more,
    )
