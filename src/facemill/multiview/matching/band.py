"""Scores over a band of displacements, and the surface at their maximum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facemill.formats.surface_maps import SurfaceMap
from facemill.multiview.texel_grid import TexelGrid


@dataclass(frozen=True)
class Band:
    """Scores of H x W texels at K displacements each.

    start: (H, W) float32, mm along the base normal, displacement of sample 0. step: mm between samples.
    scores: (H, W, K) float32, 0..1, higher = better match; NaN where not sampled.
    """

    start: NDArray[np.float32]
    step: float
    scores: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.scores.ndim != 3 or self.scores.shape[:2] != self.start.shape:
            raise ValueError(
                f"scores: expected (H, W, K) with (H, W) = {self.start.shape}, found {self.scores.shape}"
            )
        if not self.step > 0:
            raise ValueError(f"step: expected more than 0 mm, found {self.step}")

    def displacement(self, index: NDArray[np.floating]) -> NDArray[np.float32]:
        """(H, W) mm of sample numbers (H, W), which need not be whole."""
        return (self.start + self.step * index).astype(np.float32)


@dataclass(frozen=True)
class Peaks:
    """Where scores are highest.

    index: (H, W) float32, number of the sample, between samples by a parabola; NaN where nothing was sampled.
    height: (H, W) float32, the parabola's maximum, at most 1; 0 where nothing was sampled.
    inside: (H, W) bool, the sample is not the first or last one that was sampled.
    """

    index: NDArray[np.float32]
    height: NDArray[np.float32]
    inside: NDArray[np.bool_]


def localise(scores: NDArray[np.floating], chosen: NDArray[np.integer] | None = None) -> Peaks:
    """The maximum of each texel's scores, between samples by the parabola through it and its neighbours.

    With a, b, c the scores before, at and after the best sample, its offset is (a - c) / (2 (a - 2 b + c))
    steps, its height b - (a - c) offset / 4. Where b is not above both neighbours, or one is missing, the
    sample itself counts.

    Args:
        scores: (H, W, K), NaN where not sampled.
        chosen: (H, W), another sample instead of the best, for example that of an aggregation.

    >>> peaks = localise(np.array([[[0.0, 0.5, 0.7, 0.3]]]))
    >>> round(float(peaks.index[0, 0]), 4), round(float(peaks.height[0, 0]), 4)
    (1.8333, 0.7083)
    """
    values = np.asarray(scores, dtype=np.float32)
    sampled = np.isfinite(values)
    filled = np.where(sampled, values, -np.inf)
    best = filled.argmax(axis=-1) if chosen is None else np.asarray(chosen)
    last = values.shape[-1] - 1

    def at(place: NDArray) -> NDArray[np.float32]:
        return np.take_along_axis(values, np.clip(place, 0, last)[..., None], axis=-1)[..., 0]

    before, here, after = at(best - 1), at(best), at(best + 1)
    inside = (best > 0) & (best < last) & np.isfinite(before) & np.isfinite(after) & np.isfinite(here)
    bend = before - 2 * here + after
    peaked = inside & (here >= before) & (here >= after) & (bend < 0)
    offset = np.divide(before - after, 2 * bend, out=np.zeros_like(here), where=peaked)
    height = here - np.where(peaked, (before - after) * offset / 4, 0)
    known = np.isfinite(here)
    return Peaks(
        np.where(known, best + offset, np.nan).astype(np.float32),
        np.where(known, np.clip(height, 0, 1), 0).astype(np.float32),
        inside,
    )


def matched_surface(
    grid: TexelGrid,
    band: Band,
    confidence: NDArray[np.floating],
    views: NDArray[np.integer],
    queries: int,
    chosen: NDArray[np.integer] | None = None,
    displacement: NDArray[np.floating] | None = None,
) -> SurfaceMap:
    """The file of a matcher: the surface at the maximum of each texel of `grid.mask`, and its band.

    Args:
        band: at all texels of the window.
        confidence: (H, W) 0..1; views: (H, W), how many were compared.
        queries: how often a texel was looked up in a view, all levels together.
        chosen: see `localise`.
        displacement: (H, W) mm instead of the maximum's, NaN where nothing was matched.
    """
    if displacement is None:
        displacement = band.displacement(localise(band.scores, chosen).index)
    known = grid.mask & np.isfinite(displacement)
    outside = ~grid.mask
    scores = band.scores.astype(np.float16)
    scores[outside] = np.nan
    return SurfaceMap(
        grid.size,
        grid.window,
        np.where(known, displacement, np.nan).astype(np.float32),
        np.where(known, np.clip(confidence, 0, 1), 0).astype(np.float32),
        known,
        {
            "start": np.where(outside, 0, band.start).astype(np.float32),
            "step": np.array(band.step, dtype=np.float32),
            "scores": scores,
            "views": np.where(known, views, 0).astype(np.uint8),
            "queries": np.array(queries, dtype=np.int64),
        },
    )
