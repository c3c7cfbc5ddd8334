"""What the pictures say about the cameras: matched points must lie where the cameras allow."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from facemill.formats.rig_views import MIRRORED
from facemill.geometry.camera import Camera
from facemill.geometry.image import mirror
from facemill.multiview.camera_checks import (
    CONVENTIONS,
    FLIPPED,
    flipped_reason,
    meant,
    nearest_to_axes,
)
from facemill.multiview.matches import (
    PairMatches,
    ViewPoints,
    epipolar_errors,
    find_points,
    match_neighbours,
    match_points,
    mirrored_matches,
)

TOLERANCE = 0.004  # of the longer side: what a calibration may be off, and matching
REACH = (0.5, 2.0)  # depths of a head, in distances of the camera from what all look at
LEAST = 60  # matches of a capture below which nothing is concluded
WRONG, RIGHT = (
    0.25,
    0.5,
)  # share of matches that cameras allow, of wrong ones at most and of right ones at least
FEW, MANY = 0.2, 3.0  # a mirrored view has few matches, and many more when it is mirrored back

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PictureEvidence:
    """matches: those that the cameras allow. refusal: status and reason of a capture whose cameras are wrong.

    mirrored: numbers of single views that are mirrored.
    """

    matches: tuple[PairMatches, ...]
    refusal: tuple[str, str] | None = None
    mirrored: tuple[int, ...] = ()


def look_at_pictures(
    pictures: Sequence[NDArray[np.uint8]], cameras: Sequence[Camera], side: int, name: str
) -> PictureEvidence:
    """Match points between neighbouring views and hold them against the cameras.

    When the cameras allow less than a quarter of them, and mirrored pictures, or another convention of the
    extrinsics, would allow most, that is the verdict on the capture. A single view whose points are found in
    the others only after mirroring is mirrored.

    Args:
        side: longer side in pixels at which points are sought. name: of the capture's folder, for the reason.
    """
    points = [find_points(picture, side) for picture in pictures]
    matches = match_neighbours(points, cameras)
    tolerance = TOLERANCE * max(max(picture.shape[:2]) for picture in pictures)
    allowed = [_allowed(match, cameras, tolerance) for match in matches]
    count, kept = sum(len(good) for good in allowed), sum(int(good.sum()) for good in allowed)
    logger.info("%d matches in %d pairs of views; cameras allow %d", count, len(matches), kept)
    good = tuple(_chosen(match, good) for match, good in zip(matches, allowed, strict=True))
    if count >= LEAST and kept < WRONG * count:
        refusal = _verdict(pictures, cameras, matches, tolerance, count, name)
        if refusal is not None:
            return PictureEvidence((), refusal)
    mirrored = _mirrored_views(pictures, points, cameras, good, tolerance, side)
    rest = tuple(match for match in good if not {match.first, match.second} & set(mirrored))
    return PictureEvidence(rest, None, tuple(mirrored))


def _allowed(match: PairMatches, cameras: Sequence[Camera], tolerance: float) -> NDArray[np.bool_]:
    """Matches (M,) that the cameras allow, at depths where the head can be."""
    first, second = cameras[match.first], cameras[match.second]
    centres = torch.stack([camera.centre for camera in cameras])
    axes = torch.stack([camera.rotation[2] for camera in cameras])
    point = nearest_to_axes(centres, axes)
    away = [float((point - camera.centre).norm()) for camera in (first, second)]
    reach = REACH[0] * min(away), REACH[1] * max(away)
    return np.asarray(epipolar_errors(match, first, second, reach) < tolerance)


def _chosen(match: PairMatches, good: NDArray[np.bool_]) -> PairMatches:
    return PairMatches(match.first, match.second, match.first_pixels[good], match.second_pixels[good])


def _verdict(
    pictures: Sequence[NDArray[np.uint8]],
    cameras: Sequence[Camera],
    matches: Sequence[PairMatches],
    tolerance: float,
    count: int,
    name: str,
) -> tuple[str, str] | None:
    """Status and reason when the pictures fit the cameras another way; None when in no way."""
    widths = [picture.shape[1] for picture in pictures]
    turned = [mirrored_matches(match, (widths[match.first], widths[match.second])) for match in matches]
    share = sum(int(_allowed(match, cameras, tolerance).sum()) for match in turned) / count
    if share >= RIGHT:
        return MIRRORED, (
            f"{name}: points of the pictures fit the cameras only when every picture is mirrored "
            f"({share:.0%} of {count}); mirror the photos back (selfie cameras and some programs mirror them)"
        )
    for convention in CONVENTIONS[1:]:
        others = [meant(camera, convention) for camera in cameras]
        share = sum(int(_allowed(match, others, tolerance).sum()) for match in matches) / count
        if share >= RIGHT:
            return FLIPPED, flipped_reason(convention, name)
    logger.warning("%s: the cameras do not fit the pictures, in no convention", name)
    return None


def _mirrored_views(
    pictures: Sequence[NDArray[np.uint8]],
    points: Sequence[ViewPoints],
    cameras: Sequence[Camera],
    matches: Sequence[PairMatches],
    tolerance: float,
    side: int,
) -> list[int]:
    counts = [_count(matches, view) for view in range(len(pictures))]
    suspects = [view for view, count in enumerate(counts) if count < FEW * float(np.median(counts))]
    found = []
    for view in suspects:
        back = find_points(mirror(pictures[view]), side)
        total = 0
        for match in matches:
            if view in (match.first, match.second):
                other = match.second if view == match.first else match.first
                pair = PairMatches(view, other, *match_points(back, points[other]))
                total += int(_allowed(pair, cameras, tolerance).sum())
        logger.info("view %d: %d matches, %d when mirrored", view, counts[view], total)
        if total >= LEAST / 2 and total > MANY * counts[view]:
            found.append(view)
    return found


def _count(matches: Sequence[PairMatches], view: int) -> int:
    return sum(len(match.first_pixels) for match in matches if view in (match.first, match.second))
