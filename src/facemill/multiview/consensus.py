"""Which faces of several views are one person's, and what is wrong with cameras that do not fit the faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from facemill.multiview.landmark_views import ViewFace
from facemill.multiview.triangulation import Triangulated, nearest_to_rays, triangulate
from facemill.multiview.view_geometry import FloatArray, Pinholes

JAW_COUNT = 17  # they slide over the cheek with the view: no point of space
STANDARD_SCALES = np.geomspace(0.2, 5.0, 65)  # of intrinsics that belong to a picture of another size
ALIKE = 0.25  # two people of a capture are equally large when their extents differ by less
ENOUGH = 0.75  # of the views must agree once a mistake is undone
MOST_PAIRS = 24  # of views that are tried for each mistake


@dataclass(frozen=True)
class Consensus:
    """The person that most views agree about.

    chosen: per view the index of the face, -1 where none agrees. others: views (ids) that show the person and
    another one, the same in at least two; rivals: whether that one is as large and in as many views.
    """

    chosen: NDArray[np.int64]
    others: list[int]
    rivals: bool


def choose_faces(
    cameras: Pinholes, faces: Sequence[Sequence[ViewFace]], outlier: float, min_angle: float
) -> Consensus:
    """One face per view, so that together they are one person in one place.

    Each pair of faces of two views proposes a place; a view agrees when one of its faces has a median
    distance of its inner landmarks to the proposal's below `outlier` (share of the face's extent). Most views
    win, then larger faces.
    """
    chosen = _largest_set(cameras, faces, outlier, min_angle)
    left = [
        [face for index, face in enumerate(some) if index != chosen[view]] for view, some in enumerate(faces)
    ]
    second = _largest_set(cameras, left, outlier, min_angle)
    others = np.flatnonzero((second >= 0) & (chosen >= 0))
    if len(others) < 2:
        return Consensus(chosen, [], False)
    first = np.flatnonzero(chosen >= 0)
    size = np.mean([faces[int(view)][int(chosen[view])].extent for view in first])
    other_size = np.mean([left[int(view)][int(second[view])].extent for view in others])
    rivals = bool(len(others) >= 0.75 * len(first) and other_size > (1 - ALIKE) * size)
    return Consensus(chosen, others.tolist(), rivals)


def _largest_set(
    cameras: Pinholes, faces: Sequence[Sequence[ViewFace]], outlier: float, min_angle: float
) -> NDArray[np.int64]:
    best: tuple[int, float] = (1, 0.0)
    chosen = np.full(len(faces), -1)
    shown = [view for view, some in enumerate(faces) if some]
    centres = cameras.centres
    inner = {(v, i): face.points[JAW_COUNT:] for v in shown for i, face in enumerate(faces[v])}
    rays = {(v, i): cameras[[v]].rays(points[None])[0] for (v, i), points in inner.items()}
    for first, second in combinations(shown, 2):
        for i, j in product(range(len(faces[first])), range(len(faces[second]))):
            both = np.stack([rays[first, i], rays[second, j]])
            points = nearest_to_rays(both, centres[[first, second]], min_angle)
            pixels, depth = cameras.project(points)
            agrees = np.full(len(faces), -1)
            support = 0.0
            for view in shown:
                errors = [
                    _median(np.linalg.norm(pixels[view] - inner[view, k], axis=1)) / face.extent
                    for k, face in enumerate(faces[view])
                ]
                nearest = int(np.argmin(errors))
                if errors[nearest] <= outlier and _median(depth[view]) > 0:
                    agrees[view] = nearest
                    support += faces[view][nearest].extent * (1 - 0.5 * errors[nearest] / outlier)
            score = (int((agrees >= 0).sum()), support)
            if score > best:
                best, chosen = score, agrees
    return chosen


def _median(values: FloatArray) -> float:
    """Median of the finite values; infinity when fewer than half are."""
    finite = np.isfinite(values)
    return float(np.median(values[finite])) if 2 * finite.sum() >= len(values) else float("inf")


@dataclass(frozen=True)
class Diagnosis:
    """Why cameras and faces do not fit: a status and a sentence; `ok` when no explanation fits either."""

    status: str
    reason: str


def diagnose(
    cameras: Pinholes,
    points: FloatArray,
    extents: FloatArray,
    widths: NDArray[np.int64],
    mirrored_order: NDArray[np.int64],
    outlier: float,
) -> Diagnosis | None:
    """Try the usual mistakes with cameras on landmarks that do not meet.

    A mistake is found when at least three quarters of the views agree once it is undone, and more than agree
    with the cameras as they are.

    Args:
        points: (V, 68, 2) pixels, one face per view; extents: (V,) px; widths: (V,) px of the pictures.
        mirrored_order: (68,), landmark numbers of a mirrored face.
        outlier: share of the face's extent.
    """
    limits = outlier * extents
    least = max(_agreeing(cameras, points, limits)[0] + 1, int(np.ceil(ENOUGH * len(cameras))))
    turned = Pinholes(cameras.rotations.transpose(0, 2, 1), cameras.centres, cameras.intrinsics)
    if _agreeing(turned, points, limits)[0] >= least:
        return Diagnosis(
            "flipped_extrinsics",
            "the extrinsics are camera-to-world; expected world to camera (x_cam = R x + t); the landmarks "
            "meet when they are inverted: write R^T and -R^T t",
        )
    mirrored = np.stack([widths[:, None] - 1 - points[..., 0], points[..., 1]], axis=-1)[:, mirrored_order]
    if _agreeing(cameras, mirrored, limits)[0] >= least:
        return Diagnosis(
            "mirrored",
            "the pictures are mirrored left to right against their cameras; expected pictures as the cameras "
            "took them; the landmarks meet when they are mirrored back: undo the mirroring",
        )
    scale, agreeing = _best_scale(cameras, points, limits)
    if agreeing >= least:
        return Diagnosis(
            "wrong_intrinsics",
            f"the intrinsics belong to pictures of another size; the landmarks meet when K is multiplied by "
            f"{scale:.2f}: give K of the pictures that are there, or the pictures that K is of",
        )
    return None


def _scaled(cameras: Pinholes, scale: float) -> Pinholes:
    """The cameras with K of pictures resized by `scale` (half a pixel is not told apart here)."""
    intrinsics = cameras.intrinsics.copy()
    intrinsics[:, :2] *= scale
    return Pinholes(cameras.rotations, cameras.translations, intrinsics)


def _best_scale(cameras: Pinholes, points: FloatArray, limits: FloatArray) -> tuple[float, int]:
    """The factor of K with which most views agree, and how many; of factors alike, the best fit."""
    best: tuple[int, float] = (0, float("-inf"))
    factor = 1.0
    for scales in (STANDARD_SCALES, np.geomspace(0.95, 1.05, 11)):
        for scale in factor * scales:
            agreeing, misfit = _agreeing(_scaled(cameras, float(scale)), points, limits)
            if (agreeing, -misfit) > best:
                best, found = (agreeing, -misfit), float(scale)
        factor = found if best[0] else 1.0
    return factor, best[0]


def _agreeing(cameras: Pinholes, points: FloatArray, limits: FloatArray) -> tuple[int, float]:
    """Views whose inner landmarks are where the best pair of views puts them, and their mean distance.

    Distances are medians over the landmarks, in `limits`.
    """
    rays, centres = cameras.rays(points[:, JAW_COUNT:]), cameras.centres
    best: tuple[int, float] = (0, float("-inf"))
    pairs = list(combinations(range(len(cameras)), 2))
    for first, second in pairs[:: max(1, len(pairs) // MOST_PAIRS)]:
        meeting = nearest_to_rays(rays[[first, second]], centres[[first, second]], 3.0)
        pixels, depth = cameras.project(meeting)
        error = np.linalg.norm(pixels - points[:, JAW_COUNT:], axis=-1) / limits[:, None]
        per_view = np.array([_median(each) for each in np.where(depth > 0, error, np.inf)])
        agrees = per_view <= 1
        if agrees.any():
            best = max(best, (int(agrees.sum()), -float(per_view[agrees].mean())))
    return best[0], -best[1]


def head_axes(points: FloatArray) -> FloatArray | None:
    """(3, 3), rows: right of the picture, up and out of the face, world frame; None when eyes or mouth lack.

    From the triangulated 68 landmarks, by the line of the eyes and the middle of the mouth's corners.
    """
    left, right = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
    mouth = points[[48, 54]].mean(axis=0)
    across, down = right - left, mouth - (left + right) / 2
    if not np.isfinite([across, down]).all():
        return None
    out = np.cross(down, across)
    out /= np.linalg.norm(out)
    across = across / np.linalg.norm(across)
    return np.stack([across, np.cross(out, across), out])


def view_turns(cameras: Pinholes, axes: FloatArray) -> FloatArray:
    """(V,) degrees between where the face looks and where each camera stands (yaw and pitch together)."""
    return np.degrees(np.arccos(np.clip(-(cameras.rotations[:, 2] @ axes[2]), -1, 1)))


def triangulate_views(
    cameras: Pinholes, points: FloatArray, extents: FloatArray, outlier: float, noise: float, angle: float
) -> Triangulated:
    """`triangulate` with limits as shares of the face's extent in each view."""
    return triangulate(cameras, points, outlier * extents, noise * extents, angle)
