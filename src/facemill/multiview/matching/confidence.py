"""How far a match can be trusted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facemill.multiview.matching.band import Band, Peaks
from facemill.multiview.matching.levels import median_filtered

# Chosen on a validation capture: 1.3 % of the matches with a confidence above 0.6 lie more than 0.2 mm off,
# and 12 % of those below 0.2 (docs/match_surface.md).
LOW_HEIGHT, FULL_HEIGHT = 0.2, 0.45  # scores at which a maximum counts nothing, and everything
LOOSE = 0.9  # mm: breadth of a maximum at which it counts half
OVERRULED = 0.02  # by which the score at another sample is higher, at which a match counts half
APART = 0.1  # mm from the median of the neighbours at which a match counts half
AT_THE_END = 0.25  # of the band: the surface may lie beyond
VIEWS = (0.0, 0.0, 0.3, 0.7, 0.9, 1.0)  # by number of views compared, the last for more
EVERYWHERE = 1e-3  # weight of any match in the median of its neighbours


def match_confidence(
    band: Band,
    chosen: NDArray[np.integer],
    peaks: Peaks,
    displacement: NDArray[np.floating],
    views: NDArray[np.integer],
    mask: NDArray[np.bool_],
    stride: int = 1,
) -> NDArray[np.float32]:
    """(H, W) 0..1: product of what its height, breadth and place, its neighbours and the views say.

    A maximum of height b whose scores bend by c per mm^2 is as broad as sqrt((1 - b) / c): a lower score
    costs as much as being so far off. Matches of another sample than the best one (chosen by aggregation),
    far from the median of the 5 x 5 texels around, at the end of the band, or of few views count less.
    0 where nothing is matched.

    Args:
        stride: of the level: its windows are so much larger, and its maxima broader.
    """
    known = mask & np.isfinite(displacement)
    height = np.clip((peaks.height - LOW_HEIGHT) / (FULL_HEIGHT - LOW_HEIGHT), 0, 1)
    scores = np.where(np.isfinite(band.scores), band.scores, 0)
    gap = scores.max(axis=-1) - np.take_along_axis(scores, chosen[..., None], axis=-1)[..., 0]
    breadth = peak_breadth(band, chosen, peaks)
    number = np.asarray(VIEWS)[np.minimum(views, len(VIEWS) - 1)]
    place = np.where(peaks.inside, 1, AT_THE_END)
    alone = height * number * place / (1 + (breadth / (stride * LOOSE)) ** 2) / (1 + (gap / OVERRULED) ** 2)
    alone = np.where(known, alone, 0)
    medians = median_filtered(displacement, np.where(known, alone + EVERYWHERE, 0), mask, fewest=0.0)
    away = np.where(known, displacement - medians, np.inf)
    return np.where(known, alone / (1 + (away / (stride * APART)) ** 2), 0).astype(np.float32)


def peak_breadth(band: Band, chosen: NDArray[np.integer], peaks: Peaks) -> NDArray[np.float64]:
    """(H, W) mm, sqrt((1 - b) / c) of maxima of height b; infinite where scores do not fall on both sides.

    c is what the parabola through the sample and its neighbours bends by: its fall is c d^2 at d mm.
    """
    last = band.scores.shape[-1] - 1

    def at(place: NDArray) -> NDArray[np.float32]:
        return np.take_along_axis(band.scores, np.clip(place, 0, last)[..., None], axis=-1)[..., 0]

    bend = at(chosen) - (at(chosen - 1) + at(chosen + 1)) / 2
    usable = peaks.inside & (bend > 0)
    bend = np.where(usable, bend, 1) / band.step**2
    return np.where(usable, np.sqrt(np.maximum(1 - peaks.height, 0) / bend), np.inf)
