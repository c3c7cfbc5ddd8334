"""The rule `match_surface` for one capture: what can be matched, what came of it, and the file."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import numpy as np

from facemill.formats.surface_maps import SurfaceMap, write_no_surface, write_surface_map
from facemill.models.topology import Topology
from facemill.multiview.capture_files import MappedCapture
from facemill.multiview.head_views import HeadView, read_head_views
from facemill.multiview.matching.band import matched_surface
from facemill.multiview.matching.classical import ClassicalMatcher, MatchedLevel
from facemill.multiview.matching.settings import MatchSurfaceSettings
from facemill.multiview.matching.visibility import Surroundings, surroundings_of
from facemill.multiview.texel_grid import TexelGrid
from facemill.runtime.errors import PhotoError

FEWEST_SEEN = 0.05  # share of the face that two views must see
SURE = 0.3  # confidence of the matches that judge the base mesh: without texture there are none
FEWEST_SURE = 0.05  # share of the face that they must cover
# With a base mesh that fits the median distance of sure matches is 0.1 mm; with one that is 15 mm off,
# towards the cameras or away, 7 to 10 mm in a band of 20 mm, and 3.3 to 3.6 mm in one of 6 mm.
FAR = 0.25  # of the first level's reach: half of the sure matches beyond it are out of band

logger = logging.getLogger(__name__)


def match_surface(
    name: str,
    opened: MappedCapture,
    topology: Topology,
    settings: MatchSurfaceSettings,
    threads: int,
    output: str | Path,
) -> None:
    """Match the views of a capture and write `matches.npz`; a capture that cannot be gets its status.

    Raises:
        ConfigurationError: `memory_mb` is too small.
        FormatError: a picture is missing or damaged.
    """
    fitted, grid = opened.fitted, opened.grid
    if grid is None:
        write_no_surface(output, fitted.status, fitted.reason)
        return
    try:
        surface = match_views(
            grid,
            read_head_views(fitted),
            surroundings_of(grid, fitted.head, topology),
            settings,
            threads,
        )
    except PhotoError as error:
        logger.warning("%s: %s", name, error)
        write_no_surface(output, error.status, error.reason)
        return
    began = time.perf_counter()
    write_surface_map(output, surface)
    logger.info("%s: %.1f s for writing", name, time.perf_counter() - began)


def match_views(
    grid: TexelGrid,
    views: list[HeadView],
    surroundings: Surroundings,
    settings: MatchSurfaceSettings,
    threads: int,
) -> SurfaceMap:
    """The surface that the views agree on.

    Raises:
        PhotoError: `too_few_views`: two views at least must see part of the face; `out_of_band`: the
            surface lies farther from the base mesh than is searched.
        ConfigurationError: `memory_mb` is too small.
    """
    seen = (grid.visibility > 0).sum(axis=-1)[grid.mask]
    if len(views) < 2 or (seen >= 2).mean() < FEWEST_SEEN:
        raise PhotoError(
            "too_few_views",
            f"{len(views)} views show {100 * (seen >= 2).mean():.0f} % of the face twice or more; matching "
            f"needs two views of at least {100 * FEWEST_SEEN:.0f} % of it",
        )
    matcher = ClassicalMatcher(grid, views, surroundings, settings, threads)
    centre = np.zeros(grid.mask.shape, dtype=np.float32)
    found = None
    for number in range(settings.passes):
        if number:
            matcher.update_visibility(centre)
        for level in settings.again if number else settings.first:
            found = matcher.match(level, centre)
            if not number and level is settings.first[0]:
                check_band(found, level.reach)
            centre = matcher.centre(found, level)
    assert found is not None  # a pass has a level
    costs = matcher.costs
    logger.info(
        "%.2f M queries; seconds: %s",
        costs.queries / 1e6,
        ", ".join(f"{part} {seconds:.1f}" for part, seconds in costs.seconds.items()),
    )
    return matched_surface(
        grid, found.band, found.confidence, found.views, costs.queries, found.chosen, found.displacement
    )


def check_band(found: MatchedLevel, reach: float) -> None:
    """Refuse a base mesh that is farther off than a level can search.

    What lies within the reach can be matched; but where most of the face is far from the base mesh, that was
    fitted to something else, and its normals meet the face at wrong places.

    Raises:
        PhotoError: `out_of_band`.
    """
    sure = found.mask & (found.confidence >= SURE)
    if sure.sum() < FEWEST_SURE * found.mask.sum():
        return
    middle = float(np.median(np.abs(found.displacement[sure])))
    if middle > FAR * reach:
        raise PhotoError(
            "out_of_band",
            f"the views agree {middle:.1f} mm from the base mesh (median), where {reach:g} mm are searched; "
            "fit the base mesh again, or raise the reach of match_surface.first",
        )
