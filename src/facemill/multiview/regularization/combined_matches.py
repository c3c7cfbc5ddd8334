"""The matches of a learned and of a classical matcher, made one map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facemill.formats.surface_maps import OK, MappedSurface, SurfaceMap
from facemill.multiview.regularization.settings import MatchChoice

FILLED, IMPLICIT, CLASSICAL = 0, 1, 2
SOURCES = {"implicit": IMPLICIT, "classical": CLASSICAL}
OUT_OF_BAND = "out_of_band"


@dataclass(frozen=True)
class CombinedMatches:
    """Matches of a capture.

    displacement: (H, W) mm, NaN where neither matched. confidence: (H, W) 0..1. source: (H, W) uint8, 1 of
    the implicit matcher, 2 of the classical one, 0 where neither matched. maps: those used, by name.
    """

    displacement: NDArray[np.float32]
    confidence: NDArray[np.float32]
    source: NDArray[np.uint8]
    maps: Mapping[str, SurfaceMap]

    @property
    def matcher(self) -> str:
        """Whose matches there are: `implicit`, `classical`, or both joined by +."""
        return "+".join(name for name, code in SOURCES.items() if (self.source == code).any()) or "none"


def combine_matches(
    files: Mapping[str, MappedSurface], settings: MatchChoice
) -> CombinedMatches | tuple[str, str]:
    """Choose for each texel whose match counts.

    The first choice is `settings.matcher`. With `fallback` the other one's match is taken where the first has
    none, and where the first is less confident than `least_confidence` and than the other.

    Args:
        files: what `implicit` and `classical` wrote.
    Returns:
        The matches; or status and reason where there are none: one matcher found the base mesh out of its
        band, or neither has a map.
    """
    first = settings.matcher
    order = [first, *(name for name in SOURCES if name != first and settings.fallback)]
    for name in order:
        if files[name].status == OUT_OF_BAND:
            return OUT_OF_BAND, files[name].reason
    maps = {}
    for name in order:
        surface = files[name].surface
        if surface is not None:
            maps[name] = surface
    if not maps:
        worst = next((files[name] for name in reversed(order) if files[name].status != OK), files[first])
        return worst.status, worst.reason
    return _combined(maps, settings.least_confidence)


def _combined(maps: Mapping[str, SurfaceMap], least: float) -> CombinedMatches:
    (name, chosen), *others = maps.items()
    known = chosen.known & np.isfinite(chosen.displacement)
    displacement = np.where(known, chosen.displacement, np.nan)
    confidence = np.where(known, chosen.confidence, 0.0)
    source = np.where(known, SOURCES[name], FILLED).astype(np.uint8)
    for name, other in others:
        if other.window != chosen.window:
            raise ValueError(f"{name}: expected the window {chosen.window}, found {other.window}")
        found = other.known & np.isfinite(other.displacement)
        unsure = (confidence < least) & (other.confidence > confidence)
        taken = found & (unsure | (source == FILLED))
        displacement = np.where(taken, other.displacement, displacement)
        confidence = np.where(taken, other.confidence, confidence)
        source = np.where(taken, SOURCES[name], source).astype(np.uint8)
    return CombinedMatches(displacement.astype(np.float32), confidence.astype(np.float32), source, maps)
