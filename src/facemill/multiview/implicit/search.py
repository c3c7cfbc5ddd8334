"""The search for the surface: scores along the normals, from coarse steps and small pictures to fine ones."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from facemill.multiview.head_views import HeadView
from facemill.multiview.implicit.localisation import localise
from facemill.multiview.implicit.network import ImplicitNetwork
from facemill.multiview.implicit.projection import Places, ViewFeatures, best_views, places_of, tap_offsets
from facemill.multiview.implicit.pyramid import halved, halved_matrix
from facemill.multiview.implicit.scales import Scale, halvings_of, scale_of
from facemill.multiview.implicit.settings import PredictImplicitSettings
from facemill.multiview.implicit.spec import ImplicitSpec
from facemill.multiview.matching.band import Band
from facemill.multiview.matching.levels import median_filtered, next_centre, thinned
from facemill.multiview.matching.visibility import Surroundings, displaced_visibility
from facemill.multiview.texel_grid import TexelGrid
from facemill.runtime.errors import ConfigurationError

MEGABYTE = 2**20
COPIES = 6  # of the samples that a chunk's aggregation holds at a time
LARGEST_CHUNK = 24  # MB: more leaves the processor's cache
TILE = 24  # texels along each side of the squares that are scored together: the same views see them
LEAST_VIEWS = 2
SOFT = 2  # samples to each side of the maximum that its soft-argmax reads
PEAK = 3  # samples to each side that belong to the maximum
APART = 2.0  # sigmas from the median of the neighbours at which a match counts half
EVERYWHERE = 1e-3  # weight of any match in that median
#: Samples of the finer levels of kind `compact`, by halvings of the pictures. Where a shine or a slit
#: misleads the small pictures, a wide band at half of the resolution finds back, at a quarter of the price of
#: one at the whole. With 13 at each level the worst tenth about nose and mouth was off by 0.20 to 0.55 mm;
#: so it is by 0.11 to 0.22, as in a dense search (docs/predict_implicit.md).
SAMPLES = {0: 21, 1: 41}
OTHER_SAMPLES = 25

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Level:
    """One search: every `stride`-th texel, `count` samples `step` mm apart, on pictures of a scale."""

    scale: Scale
    stride: int
    step: float
    count: int


@dataclass(frozen=True)
class Found:
    """What a level found, over h x w texels.

    mask: (h, w) texels that two views see. band: the scores. displacement: (h, w) mm, NaN = nothing matched;
    confidence: (h, w) 0..1; views: (h, w) uint8, how many were compared.
    """

    mask: NDArray[np.bool_]
    band: Band
    displacement: NDArray[np.float32]
    confidence: NDArray[np.float32]
    views: NDArray[np.uint8]


@dataclass
class Costs:
    """queries: points that were scored. seconds: of each part of the work."""

    queries: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    def took(self, part: str, since: float) -> None:
        """Add the time since `since` (of `time.perf_counter`) to a part."""
        self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - since


def coarse_to_fine(spec: ImplicitSpec, pixel: float, band: float) -> list[Level]:
    """The levels for pictures whose pixels cover `pixel` mm; the first one's reach is `band` mm.

    Kind `compact`: a scale each, pictures halved three times to not at all where a pixel is a quarter of a
    millimetre. Kind `published` has one scale: steps of 1, 0.4 and 0.2 mm.
    """
    if spec.kind == "published":
        scale = scale_of(spec, pixel, 0)
        return [
            Level(scale, 4, 1.0, 2 * round(band) + 1),
            Level(scale, 2, 0.4, 11),
            Level(scale, 1, 0.2, 13),
        ]
    levels = []
    for number, halvings in enumerate(halvings_of(spec, pixel)):
        scale = scale_of(spec, pixel, halvings)
        whole = 2 * int(np.ceil(band / scale.step)) + 1
        count = min(SAMPLES.get(halvings, OTHER_SAMPLES), whole) if number else whole
        levels.append(Level(scale, min(4, 1 << halvings), scale.step, count))
    return levels


def dense(spec: ImplicitSpec, pixel: float, band: float) -> list[Level]:
    """One level of the whole band at all texels."""
    scale = scale_of(spec, pixel, 0)
    return [Level(scale, 1, scale.step, 2 * int(np.ceil(band / scale.step)) + 1)]


class ImplicitMatcher:
    """Matches one capture.

    Args:
        network: in evaluation mode, on `device`.
        grid, views, surroundings: of the capture; views in the order of `grid.views`.
    """

    def __init__(
        self,
        network: ImplicitNetwork,
        grid: TexelGrid,
        views: Sequence[HeadView],
        surroundings: Surroundings,
        settings: PredictImplicitSettings,
        device: torch.device,
    ) -> None:
        self.network, self.grid, self.views, self.surroundings = network, grid, views, surroundings
        self.settings, self.device = settings, device
        self.costs = Costs()
        self.visibility = grid.visibility * grid.mask[..., None]
        self._features: tuple[int, list[ViewFeatures]] | None = None

    def match(self, level: Level, centre: NDArray[np.floating]) -> Found:
        """Search around `centre` (H, W) mm with the present visibility.

        Raises:
            ConfigurationError: `memory_mb` does not hold the samples of one texel.
        """
        features = self.features(level.scale.halvings)
        began = time.perf_counter()
        stride, shape = level.stride, thinned(self.grid.mask, level.stride).shape
        visibility = thinned(self.visibility, stride)
        mask = thinned(self.grid.mask, stride) & ((visibility > 0).sum(axis=-1) >= LEAST_VIEWS)
        seen = best_views(visibility[mask], self.settings.most_views)
        places = places_of(
            thinned(self.grid.position, stride)[mask], thinned(self.grid.normal, stride)[mask], seen
        )
        # whole steps: a level finds what a search of the whole band would, not what lies between its samples
        middle = np.rint(thinned(centre, stride) / level.step)
        start = ((middle - level.count // 2) * level.step).astype(np.float32)
        logits = self._scored(features, places, torch.from_numpy(start[mask]), tile_order(mask), level)
        self.costs.queries += logits.numel()
        self.costs.took("scores", began)
        began = time.perf_counter()
        scores = np.full((*shape, level.count), np.nan, dtype=np.float32)
        scores[mask] = torch.sigmoid(logits).numpy()
        displacement = np.full(shape, np.nan, dtype=np.float32)
        displacement[mask] = localise(logits, torch.from_numpy(start[mask]), level.step, SOFT).numpy()
        confidence = np.zeros(shape, dtype=np.float32)
        confidence[mask] = peak_share(logits).numpy()
        confidence = agreeing(displacement, confidence, mask, level.scale.sigma)
        views = np.zeros(shape, dtype=np.uint8)
        views[mask] = (seen > 0).sum(axis=1)
        self.costs.took("maxima", began)
        return Found(mask, Band(start, level.step, scores), displacement, confidence, views)

    def centre(self, found: Found, level: Level) -> NDArray[np.float32]:
        """(H, W) mm: around what the next level searches."""
        mask = thinned(self.grid.mask, level.stride)
        return next_centre(found.displacement, found.confidence, mask, level.stride, self.grid.mask.shape)

    def update_visibility(self, centre: NDArray[np.floating]) -> None:
        """Let the views see the surface displaced by `centre` (H, W) mm from now on.

        Texels that fewer than two views would see keep the visibility of the base mesh: what hides them may
        be a wrong match beside them.
        """
        began = time.perf_counter()
        places = [(view.camera, view.picture.shape[:2]) for view in self.views]
        found = displaced_visibility(self.grid, centre, self.surroundings, places)
        lost = (found > 0).sum(axis=-1) < LEAST_VIEWS
        base = self.grid.visibility * self.grid.mask[..., None]
        self.visibility = np.where(lost[..., None], base, found)
        self.costs.took("visibility", began)

    def features(self, halvings: int) -> list[ViewFeatures]:
        """Of all views at a scale; computed once for consecutive levels of one scale."""
        if self._features is not None and self._features[0] == halvings:
            return self._features[1]
        began = time.perf_counter()
        self._features = None
        found = []
        half = torch.bfloat16 if self.device.type == "cuda" else None
        for view in self.views:
            pixels = halved(view.picture, halvings).clip(0, 1).transpose(2, 0, 1)
            picture = torch.from_numpy(np.ascontiguousarray(pixels))[None].to(self.device)
            matrix = torch.from_numpy(halved_matrix(view.matrix, halvings).astype(np.float32))
            with (
                torch.inference_mode(),
                torch.autocast(self.device.type, dtype=half, enabled=half is not None),
            ):
                found.append(self.network.encode(picture, matrix.to(self.device)))
        self._features = (halvings, found)
        self.costs.took("features", began)
        return found

    def _scored(
        self,
        features: Sequence[ViewFeatures],
        places: Places,
        start: torch.Tensor,
        order: NDArray[np.int64],
        level: Level,
    ) -> torch.Tensor:
        """(T, count) logits, on the CPU; `order`: of the texels, see `tile_order`."""
        most = chunk_texels(self.network.spec, len(self.views), level.count, self.settings)
        taps = tap_offsets(self.network.spec.taps, level.scale.spacing).to(self.device)
        steps = level.step * torch.arange(level.count, dtype=torch.float32)
        logits = torch.empty(len(start), level.count)
        half = torch.bfloat16 if self.device.type == "cuda" else None
        with torch.inference_mode(), torch.autocast(self.device.type, dtype=half, enabled=half is not None):
            for part in torch.from_numpy(order).split(most):
                displacement = (start[part, None] + steps).to(self.device)
                logits[part] = self.network.scored(
                    features, places.of(part).to(self.device), displacement, taps
                ).cpu()
        return logits


def chunk_texels(spec: ImplicitSpec, views: int, count: int, settings: PredictImplicitSettings) -> int:
    """How many texels with `count` samples each fit the budget.

    Raises:
        ConfigurationError: not one.
    """
    compared = views if spec.aggregation == "variance" else min(views, settings.most_views)
    of_texel = count * compared * spec.taps**2 * spec.features * 4 * COPIES
    budget = min(settings.memory_mb, LARGEST_CHUNK) * MEGABYTE
    if settings.memory_mb * MEGABYTE < of_texel:
        raise ConfigurationError(
            f"predict_implicit.memory_mb: {settings.memory_mb}",
            f"at least {int(np.ceil(of_texel / MEGABYTE))}: {count} samples of {compared} views, "
            f"{spec.taps}² taps and {spec.features} features are one texel's",
            str(settings.memory_mb),
            "raise predict_implicit.memory_mb",
        )
    return max(1, int(budget // of_texel))


def tile_order(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The texels of a mask, numbered by rows, in the order of squares of 24 x 24.

    >>> mask = np.ones((1, 26), dtype=bool)
    >>> mask = np.concatenate([mask, mask])
    >>> tile_order(mask)[[0, 23, 24, 25, 48, 51]]
    array([ 0, 23, 26, 27, 24, 51])
    """
    rows, columns = np.nonzero(mask)
    return np.lexsort((columns // TILE, rows // TILE))


def peak_share(logits: torch.Tensor) -> torch.Tensor:
    """(T,) 0..1 from logits (T, K): the highest score times the share of the band's weight (softmax) within
    three samples of it. Low where nothing matches, and where several places match alike."""
    top, index = logits.max(dim=-1, keepdim=True)
    places = torch.arange(logits.shape[-1])
    near = (places - index).abs() <= PEAK
    share = (torch.softmax(logits, dim=-1) * near).sum(dim=-1)
    return torch.sigmoid(top.squeeze(-1)) * share


def agreeing(
    displacement: NDArray[np.float32],
    confidence: NDArray[np.float32],
    mask: NDArray[np.bool_],
    sigma: float,
) -> NDArray[np.float32]:
    """(H, W) confidence, less where a match lies far from the median of the 5 x 5 texels around."""
    medians = median_filtered(displacement, np.where(mask, confidence + EVERYWHERE, 0), mask, fewest=0.0)
    away = np.where(mask & np.isfinite(medians), displacement - medians, np.inf)
    return np.where(mask, confidence / (1 + (away / (APART * sigma)) ** 2), 0).astype(np.float32)
