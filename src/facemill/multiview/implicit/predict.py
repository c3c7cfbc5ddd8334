"""The stage `predict_implicit`: the learned matches of one capture, or why there are none."""

from __future__ import annotations

import itertools
import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from facemill.formats.surface_maps import SurfaceMap, write_no_surface, write_surface_map
from facemill.models.topology import Topology
from facemill.multiview.capture_files import MappedCapture
from facemill.multiview.head_views import HeadView
from facemill.multiview.implicit.files import load_network
from facemill.multiview.implicit.network import ImplicitNetwork
from facemill.multiview.implicit.pyramid import read_matched_views
from facemill.multiview.implicit.search import Costs, Found, ImplicitMatcher, coarse_to_fine, dense
from facemill.multiview.implicit.settings import PredictImplicitSettings
from facemill.multiview.matching.band import Band, matched_surface
from facemill.multiview.matching.visibility import Surroundings, surroundings_of
from facemill.multiview.texel_grid import TexelGrid
from facemill.runtime.errors import PhotoError

NO_NETWORK = "no_network"
KEPT = 33  # samples of a dense band that are written
FEWEST_SEEN = 0.05  # share of the face that two views must see
SURE = 0.3  # confidence of a texel that counts in judging the base mesh
FEWEST_SURE = 0.05  # share of the face that must be sure for that
FAR = 0.25  # of the band: half of the sure texels beyond it are out of band
MOST_AT_ENDS = 0.25  # share of the sure texels at the ends of the band

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prediction:
    """The matches of a capture, and what they cost."""

    surface: SurfaceMap
    costs: Costs


def predict_implicit(
    name: str,
    opened: MappedCapture,
    topology: Topology,
    settings: PredictImplicitSettings,
    device: torch.device,
    output: str | Path,
) -> None:
    """Match the views of a capture and write `volume.npz`; a capture that cannot be gets its status.

    Raises:
        ConfigurationError: `memory_mb` is smaller than one chunk.
        FormatError: weights that do not fit, or a picture that is missing or damaged.
    """
    fitted, grid = opened.fitted, opened.grid
    if grid is None:
        write_no_surface(output, fitted.status, fitted.reason)
        return
    if not settings.network:
        write_no_surface(
            output, NO_NETWORK, "predict_implicit.network is empty: nothing is matched by learning"
        )
        return
    network = load_network(settings.network).to(device)
    began = time.perf_counter()
    views, pixel = read_matched_views(fitted, grid, settings.finest)
    surroundings = surroundings_of(grid, fitted.head, topology)
    reading = time.perf_counter() - began
    try:
        found = predict_surface(network, grid, views, pixel, surroundings, settings, device)
    except PhotoError as error:
        logger.warning("%s: %s", name, error)
        write_no_surface(output, error.status, error.reason)
        return
    began = time.perf_counter()
    write_surface_map(output, found.surface)
    seconds = {"reading": reading, **found.costs.seconds, "writing": time.perf_counter() - began}
    logger.info(
        "%s: %.2f million queries; seconds: %s",
        name,
        found.costs.queries / 1e6,
        ", ".join(f"{part} {value:.1f}" for part, value in seconds.items()),
    )


def predict_surface(
    network: ImplicitNetwork,
    grid: TexelGrid,
    views: list[HeadView],
    pixel: float,
    surroundings: Surroundings,
    settings: PredictImplicitSettings,
    device: torch.device,
) -> Prediction:
    """The surface that the views agree on, as the network sees it.

    Coarse to fine, the last level begins with the visibility of the surface that the one before found.

    Args:
        pixel: mm that a pixel of the views covers.
    Raises:
        PhotoError: `too_few_views`, or `out_of_band`: the surface lies far from the base mesh.
        ConfigurationError: `memory_mb` is smaller than one chunk.
    """
    seen = (grid.visibility > 0).sum(axis=-1)[grid.mask]
    if len(views) < 2 or (seen >= 2).mean() < FEWEST_SEEN:
        raise PhotoError(
            "too_few_views",
            f"{len(views)} views show {100 * (seen >= 2).mean():.0f} % of the face twice or more; matching "
            f"needs two views of at least {100 * FEWEST_SEEN:.0f} % of it",
        )
    matcher = ImplicitMatcher(network, grid, views, surroundings, settings, device)
    chosen = coarse_to_fine if settings.search == "coarse_to_fine" else dense
    levels = chosen(network.spec, pixel, settings.band)
    centre = np.zeros(grid.mask.shape, dtype=np.float32)
    found = matcher.match(levels[0], centre)
    check_band(found, settings.band)
    for before, level in itertools.pairwise(levels):
        centre = matcher.centre(found, before)
        if level is levels[-1]:
            matcher.update_visibility(centre)
        found = matcher.match(level, centre)
    surface = matched_surface(
        grid,
        narrowed(found.band, KEPT),
        found.confidence,
        found.views,
        matcher.costs.queries,
        displacement=found.displacement,
    )
    return Prediction(surface, matcher.costs)


def narrowed(band: Band, count: int) -> Band:
    """The `count` samples around each texel's maximum, of bands that hold more.

    >>> band = Band(np.zeros((1, 1), np.float32), 0.5, np.array([[[0.1, 0.2, 0.9, 0.3]]], np.float32))
    >>> small = narrowed(band, 2)
    >>> small.start, small.scores
    (array([[0.5]], dtype=float32), array([[[0.2, 0.9]]], dtype=float32))
    """
    whole = band.scores.shape[-1]
    if whole <= count:
        return band
    best = np.where(np.isfinite(band.scores), band.scores, -1).argmax(axis=-1)
    first = np.clip(best - count // 2, 0, whole - count)
    places: NDArray[np.int64] = first[..., None] + np.arange(count)
    start = (band.start + band.step * first).astype(np.float32)
    return replace(band, start=start, scores=np.take_along_axis(band.scores, places, axis=-1))


def check_band(found: Found, reach: float) -> None:
    """Refuse a base mesh that is farther off than can be searched.

    What lies within the reach can be matched; but where most of the face is far from the base mesh, that was
    fitted to something else, and its normals meet the face at wrong places.

    Args:
        found: by the first level, around the base mesh. reach: of its band, mm.
    Raises:
        PhotoError: `out_of_band`.
    """
    sure = found.mask & (found.confidence >= SURE)
    if sure.sum() < FEWEST_SURE * found.mask.sum():
        return
    away = np.abs(found.displacement[sure])
    middle, at_ends = float(np.median(away)), float((away > reach - 1.5 * found.band.step).mean())
    if middle > FAR * reach or at_ends > MOST_AT_ENDS:
        raise PhotoError(
            "out_of_band",
            f"the views agree {middle:.1f} mm from the base mesh (median), {100 * at_ends:.0f} % at the ends "
            f"of the {reach:g} mm that are searched; fit the base mesh again or raise predict_implicit.band",
        )
