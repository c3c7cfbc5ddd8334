"""The matcher without weights: scores of colours, semi-global, several passes."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from facemill.geometry.image import resize
from facemill.multiview.head_views import HeadView
from facemill.multiview.matching.band import Band, Peaks, localise
from facemill.multiview.matching.confidence import match_confidence
from facemill.multiview.matching.levels import next_centre, thinned
from facemill.multiview.matching.semi_global import aggregate
from facemill.multiview.matching.settings import LevelSettings, MatchSurfaceSettings
from facemill.multiview.matching.visibility import Surroundings, displaced_visibility
from facemill.multiview.matching.volume import Picture, Texels, score_band
from facemill.multiview.texel_grid import TexelGrid

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MatchedLevel:
    """What one level found, over h x w texels.

    mask: (h, w) texels of the face. band: the scores. chosen: (h, w) samples after aggregation; peaks: the
    maxima of the scores there. displacement (h, w) mm, NaN = not matched; confidence (h, w).
    views: (h, w) uint8.
    """

    mask: NDArray[np.bool_]
    band: Band
    chosen: NDArray[np.int64]
    peaks: Peaks
    displacement: NDArray[np.float32]
    confidence: NDArray[np.float32]
    views: NDArray[np.uint8]


@dataclass
class Costs:
    """seconds: of each part of the work. queries: how often a texel was looked up in a view."""

    seconds: dict[str, float] = field(default_factory=dict)
    queries: int = 0

    def took(self, part: str, since: float) -> None:
        """Add the time since `since` (of `time.perf_counter`) to a part."""
        self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - since


class ClassicalMatcher:
    """Matches one capture, level by level.

    Args:
        grid, views, surroundings: of the capture; views in the order of `grid.views`.
        threads: of the processor; results do not depend on it.
    """

    def __init__(
        self,
        grid: TexelGrid,
        views: Sequence[HeadView],
        surroundings: Surroundings,
        settings: MatchSurfaceSettings,
        threads: int,
    ) -> None:
        self.grid, self.views, self.surroundings = grid, views, surroundings
        self.settings, self.threads = settings, threads
        self.costs = Costs()
        self.visibility = grid.visibility * grid.mask[..., None]
        self._pictures: dict[float, list[Picture]] = {}

    def match(self, level: LevelSettings, centre: NDArray[np.floating]) -> MatchedLevel:
        """Search around `centre` (H, W) mm with the present visibility."""
        settings, grid = self.settings, self.grid
        pictures = self._scaled(level.scale)
        began = time.perf_counter()
        texels = Texels(
            *(
                np.ascontiguousarray(thinned(map_, level.stride))
                for map_ in (grid.position, grid.normal, self.visibility)
            )
        )
        half = (level.count - 1) // 2
        start = np.ascontiguousarray(thinned(centre, level.stride) - half * level.step, dtype=np.float32)
        scored = score_band(
            texels, pictures, start, level.step, level.count, settings, settings.memory_mb, self.threads
        )
        self.costs.took("scores", began)
        self.costs.queries += scored.queries
        began = time.perf_counter()
        mask = np.ascontiguousarray(thinned(grid.mask, level.stride))
        band = scored.band
        chosen = self._chosen(band, mask)
        peaks = localise(band.scores, chosen)
        matched = mask & np.isfinite(peaks.index) & (peaks.height >= settings.least_score)
        displacement = np.where(matched, band.displacement(peaks.index), np.nan).astype(np.float32)
        confidence = match_confidence(band, chosen, peaks, displacement, scored.views, mask, level.stride)
        self.costs.took("maxima", began)
        return MatchedLevel(mask, band, chosen, peaks, displacement, confidence, scored.views)

    def centre(self, found: MatchedLevel, level: LevelSettings) -> NDArray[np.float32]:
        """(H, W) mm: around what the next level searches."""
        shape = self.grid.mask.shape
        return next_centre(found.displacement, found.confidence, found.mask, level.stride, shape)

    def update_visibility(self, centre: NDArray[np.floating]) -> None:
        """Let the views see the surface displaced by `centre` (H, W) mm from now on."""
        began = time.perf_counter()
        places = [(view.camera, view.picture.shape[:2]) for view in self.views]
        self.visibility = displaced_visibility(self.grid, centre, self.surroundings, places)
        self.costs.took("visibility", began)

    def _chosen(self, band: Band, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        scores = np.where(np.isfinite(band.scores), band.scores, 0).astype(np.float32)
        if not self.settings.semi_global:
            return np.asarray(scores.argmax(axis=-1))
        settings = self.settings
        costs = aggregate(1 - scores, mask, settings.small_jump, settings.large_jump, self.threads)
        return np.asarray(costs.argmin(axis=-1))

    def _scaled(self, scale: float) -> list[Picture]:
        if scale not in self._pictures:
            began = time.perf_counter()
            self._pictures[scale] = [scaled_picture(view, scale) for view in self.views]
            self.costs.took("pictures", began)
        return self._pictures[scale]


def scaled_picture(view: HeadView, scale: float) -> Picture:
    """A view made smaller by `scale`, at most 1, filtered against aliasing."""
    if scale >= 1:
        return Picture(np.ascontiguousarray(view.picture), view.matrix)
    height, width = view.picture.shape[:2]
    resized = resize(view.picture, (max(2, round(height * scale)), max(2, round(width * scale))))
    camera = view.camera.cropped(torch.from_numpy(resized.resized_from_image))
    pixels = np.ascontiguousarray(resized.image, dtype=np.float32)
    return Picture(pixels, HeadView(view.name, pixels, camera).matrix)
