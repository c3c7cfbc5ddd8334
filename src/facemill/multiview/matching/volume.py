"""Scores of all texels over a band of displacements, tile by tile within a memory budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from facemill.multiview.matching.band import Band
from facemill.multiview.matching.samples import sample_view
from facemill.multiview.matching.scores import correlate_window, vary_window
from facemill.multiview.matching.settings import ScoreSettings
from facemill.rendering.zbuffer import in_threads
from facemill.runtime.errors import ConfigurationError

MOST_ROWS = 16  # of a tile: more would leave threads without work at the end
MEGABYTE = 2**20


@dataclass(frozen=True)
class Picture:
    """One view at the scale of a level: pixels (H, W, C) float32, and (3, 4) K (R | t) of them."""

    pixels: NDArray[np.float32]
    matrix: NDArray[np.float64]


@dataclass(frozen=True)
class Texels:
    """H x W texels of a level: position, normal (H, W, 3) float64; visibility (H, W, V) float32, cosine or 0.

    Texels that are not matched are seen by no view.
    """

    position: NDArray[np.float64]
    normal: NDArray[np.float64]
    visibility: NDArray[np.float32]


@dataclass(frozen=True)
class Scored:
    """band: of a level. views: (H, W) uint8, the most that were compared. queries: texels read in views."""

    band: Band
    views: NDArray[np.uint8]
    queries: int


def window_weights(radius: int) -> NDArray[np.float32]:
    """(2 r + 1, 2 r + 1) Gaussian of standard deviation r / 1.5 texels, 1 in the middle."""
    away = np.arange(-radius, radius + 1) / max(radius / 1.5, 1e-6)
    bell = np.exp(-0.5 * away**2)
    return np.asarray(bell[:, None] * bell, dtype=np.float32)


def best_views(visibility: NDArray[np.float32], most: int) -> NDArray[np.int16]:
    """(H, W, M) the up to `most` views to compare at each texel, -1 = no more.

    Of more than that, every second of the most frontal ones: neighbours on the way around the head have too
    little between them to tell distances apart.

    >>> best_views(np.array([[[0.5, 0.0, 0.9]]], dtype=np.float32), 2).tolist()
    [[[2, 0]]]
    >>> best_views(np.array([[[0.5, 0.6, 0.9, 0.8]]], dtype=np.float32), 2).tolist()
    [[[2, 1]]]
    """
    count = visibility.shape[-1]
    order = np.argsort(-visibility, axis=-1, kind="stable")
    seen = (visibility > 0).sum(axis=-1, keepdims=True)
    number = np.arange(min(most, count))
    spacing = np.clip((seen - 1) / max(most - 1, 1), 1, 2)
    places = np.floor(number * spacing + 1e-6).astype(int)
    found = np.take_along_axis(order, np.minimum(places, count - 1), axis=-1)
    return np.where(places < seen, found, -1).astype(np.int16)


def read_views(chosen: NDArray[np.int16], visibility: NDArray[np.float32], radius: int) -> NDArray[np.bool_]:
    """(V, H, W) which texels each view is read at: those it sees within `radius` of one that is compared
    in it."""
    height, width, count = visibility.shape
    needed = np.zeros((count, height, width), dtype=bool)
    rows, columns, numbers = np.nonzero(chosen >= 0)
    needed[chosen[rows, columns, numbers], rows, columns] = True
    side = 2 * radius + 1
    return np.stack([maximum_filter(one, size=side) for one in needed]) & (np.moveaxis(visibility, -1, 0) > 0)


def score_band(
    texels: Texels,
    pictures: Sequence[Picture],
    start: NDArray[np.float32],
    step: float,
    count: int,
    settings: ScoreSettings,
    memory_mb: float,
    threads: int,
) -> Scored:
    """Score each texel at `count` displacements from start (H, W), `step` mm apart.

    The window around a texel moves with the starts of its texels, so that it lies along a surface that is
    nearly known.

    Raises:
        ConfigurationError: `memory_mb` does not hold the samples of one row of texels and its window.
    """
    height, width = start.shape
    chosen = best_views(texels.visibility, settings.most_views)
    radius = settings.window
    weights = window_weights(radius)
    rows = tile_rows(width, len(pictures), radius, memory_mb, threads)
    wanted = read_views(chosen, texels.visibility, radius)
    scores = np.full((height, width, count), np.nan, dtype=np.float32)
    views = np.zeros((height, width), dtype=np.uint8)
    tops = list(range(0, height, rows))
    queries = np.zeros(len(tops), dtype=np.int64)

    def score_tile(number: int) -> None:
        top = tops[number]
        bottom = min(top + rows, height)
        if not (chosen[top:bottom, :, 0] >= 0).any():
            return
        first = max(0, top - radius)
        part = slice(first, min(height, bottom + radius))
        position, normal = (np.ascontiguousarray(map_[part]) for map_ in (texels.position, texels.normal))
        needed = wanted[:, part].copy()
        used = [view for view in range(len(pictures)) if needed[view].any()]
        samples = np.full((len(pictures), 3, *position.shape[:2]), np.nan, dtype=np.float32)
        tile = np.empty((bottom - top, width), dtype=np.float32)
        compared = np.empty(tile.shape, dtype=np.uint8)
        for sample in range(count):
            displacement = start[part] + np.float32(sample * step)
            for view in used:
                picture = pictures[view]
                queries[number] += sample_view(
                    position,
                    normal,
                    displacement,
                    needed[view],
                    picture.pixels,
                    picture.matrix,
                    samples[view],
                )
            if settings.score == "variance":
                vary_window(
                    samples, chosen[top:bottom], top - first, weights, settings.tolerance, tile, compared
                )
            else:
                correlate_window(
                    samples,
                    chosen[top:bottom],
                    top - first,
                    weights,
                    settings.noise,
                    settings.best_share,
                    tile,
                    compared,
                )
            scores[top:bottom, :, sample] = tile
            np.maximum(views[top:bottom], compared, out=views[top:bottom])

    in_threads(score_tile, list(range(len(tops))), threads)
    return Scored(Band(start, step, scores), views, int(queries.sum()))


def tile_rows(width: int, views: int, radius: int, memory_mb: float, threads: int) -> int:
    """Rows of a tile whose samples, in `threads` tiles at once, stay within the budget.

    Raises:
        ConfigurationError: one row does not.
    """
    of_row = width * (views * (3 * 4 + 1) + 2 * 3 * 8 + 4)  # colours, which are read; places; starts
    fitting = int(memory_mb * MEGABYTE / max(threads, 1) / of_row) - 2 * radius
    if fitting < 1:
        least = (2 * radius + 1) * of_row * max(threads, 1) / MEGABYTE
        raise ConfigurationError(
            f"match_surface.memory_mb: {memory_mb:g}",
            f"at least {np.ceil(least):.0f} for {views} views, {width} texels in a row and {threads} threads",
            f"{memory_mb:g}",
            "raise match_surface.memory_mb",
        )
    return min(fitting, MOST_ROWS)
