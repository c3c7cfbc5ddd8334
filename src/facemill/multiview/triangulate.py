"""The rule `triangulate_landmarks`: 68 points of space, their covariances and who saw them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facemill.formats.captures import OK, Capture, PreparedView
from facemill.multiview.consensus import (
    JAW_COUNT,
    choose_faces,
    diagnose,
    head_axes,
    triangulate_views,
    view_turns,
)
from facemill.multiview.landmark_settings import TriangulateSettings
from facemill.multiview.landmark_views import Detectors, FacesOfView, faces_of_views
from facemill.multiview.triangulation import Triangulated
from facemill.multiview.view_geometry import FloatArray, Pinholes
from facemill.runtime.files import save_arrays, write_json

LEAST_POINTS = 20  # of the inner 51: fewer place no head
FEW = 4  # views: of fewer, two that agree are believed
LENIENT = 1.5  # times `outlier`: a view is not dropped for landmarks that a detector smears
COARSE = 2.0  # times `outlier`: views choose their face by it, before anything is refined

logger = logging.getLogger(__name__)


@dataclass
class ViewReport:
    """What became of a view: status, reason, residual px (root mean square of the inner landmarks)."""

    name: str
    status: str = OK
    reason: str = ""
    residual: float | None = None
    turn: float | None = None


@dataclass(frozen=True)
class Landmarks:
    """What the rule knows of a capture; V views, all those of the capture.

    points (68, 3), covariance (68, 3, 3): world, NaN where unknown. inliers (68, V).
    detections (V, 68, 2) px, NaN = none; scores (V,), NaN = none.
    """

    status: str
    reason: str
    views: list[ViewReport]
    points: FloatArray
    covariance: FloatArray
    inliers: NDArray[np.bool_]
    detections: FloatArray
    scores: FloatArray
    notes: list[str] = field(default_factory=list)


def triangulate_landmarks(
    capture: Capture,
    capture_file: str | Path,
    detectors: Detectors,
    mirrored_order: NDArray[np.int64],
    settings: TriangulateSettings,
) -> Landmarks:
    """Detect, choose the faces that belong together, drop views that do not fit, triangulate.

    Statuses of views: `no_face`, `low_score`, `profile`, `moved` (its landmarks are elsewhere: motion, a
    wrong camera, another person), or what `prepare_capture` said. Statuses of captures: `no_face`,
    `too_few_views`, `flipped_extrinsics`, `mirrored`, `wrong_intrinsics`, `two_people`, `inconsistent`, or
    the earlier rule's.

    Args:
        mirrored_order: (68,), `mirrored[mirrored_order]` is in the order of an unmirrored face.
    """
    reports = [ViewReport(view.name, view.status, view.reason) for view in capture.views]
    if capture.status != OK:
        return nothing(capture.status, capture.reason, reports)
    used = [index for index, view in enumerate(capture.views) if view.status == OK]
    faces = faces_of_views(
        capture_file, [capture.views[i] for i in used], detectors, settings.face_side, settings.min_score
    )
    return landmarks_of_faces(capture, used, faces, mirrored_order, settings)


def landmarks_of_faces(
    capture: Capture,
    used: Sequence[int],
    faces: Sequence[FacesOfView],
    mirrored_order: NDArray[np.int64],
    settings: TriangulateSettings,
) -> Landmarks:
    """`triangulate_landmarks` from the faces of the views `used` (ids)."""
    reports = [ViewReport(view.name, view.status, view.reason) for view in capture.views]
    for index, seen in zip(used, faces, strict=True):
        reports[index].status, reports[index].reason = seen.status, seen.reason
    shown = [place for place, seen in enumerate(faces) if seen.faces]
    if len(shown) < 2:
        status = "too_few_views" if shown else "no_face"
        reason = f"{len(shown)} of {len(capture.views)} views show a face; two are needed"
        return nothing(status, reason, reports)
    views = [capture.views[used[place]] for place in shown]
    cameras = Pinholes.of_views(views)
    every = [faces[place].faces for place in shown]
    consensus = choose_faces(cameras, every, COARSE * settings.outlier, settings.min_angle)
    if consensus.rivals:
        reason = (
            f"{len(consensus.others)} views show a second person of the same size; expected one person; "
            "cut the pictures so that one face is left"
        )
        return nothing("two_people", reason, reports)
    chosen = consensus.chosen
    if (chosen < 0).any():
        problem = _explained(cameras, views, every, mirrored_order, settings)
        if problem is not None:
            return nothing(*problem, reports)
    agreeing = int((chosen >= 0).sum())
    if agreeing < 2 or (len(shown) >= FEW and agreeing <= 0.5 * len(shown)):
        reason = (
            f"the faces of {len(shown)} views do not meet in one place ({agreeing} do): the cameras are not "
            "those of the pictures, or the head moved between most of them; check the calibration"
        )
        return nothing("inconsistent", reason, reports)
    detections = np.full((len(reports), 68, 2), np.nan)
    scores, extents = np.full(len(reports), np.nan), np.ones(len(reports))
    for place, index, face in zip(shown, chosen, every, strict=True):
        number = used[place]
        one = face[max(index, 0)]
        detections[number], scores[number], extents[number] = one.points, one.score, one.extent
        if index < 0:
            reports[number].status = "moved"
            reports[number].reason = "its face is not where the other views see theirs"
    notes = []
    if consensus.others:
        notes.append(f"{len(consensus.others)} views show another person, who is left out")
    return _without_misfits(
        Pinholes.of_views(capture.views), detections, scores, extents, reports, notes, settings
    )


def _without_misfits(
    cameras: Pinholes,
    detections: FloatArray,
    scores: FloatArray,
    extents: FloatArray,
    reports: list[ViewReport],
    notes: list[str],
    settings: TriangulateSettings,
) -> Landmarks:
    """Triangulate; drop profiles, and the worst view as long as one does not fit; triangulate again."""
    for _ in range(len(reports)):
        result = _triangulated(cameras, detections, extents, reports, settings)
        _note_turns(cameras, result, reports)
        profiles = [r for r in reports if r.status == OK and (r.turn or 0) > settings.max_turn]
        for report in profiles:
            report.status = "profile"
            report.reason = f"the face is turned by {report.turn:.0f} degrees; landmarks there are guesses"
        if profiles:
            continue
        near = result.residuals[JAW_COUNT:] <= LENIENT * settings.outlier * extents
        shares = {i: float(near[:, i].mean()) for i, r in enumerate(reports) if r.status == OK}
        worst = min(shares, key=lambda i: shares[i], default=-1)
        if worst < 0 or shares[worst] >= settings.moved_share or len(shares) <= 2:
            break
        reports[worst].status = "moved"
        reports[worst].reason = (
            f"it agrees about {shares[worst]:.0%} of the inner landmarks: the head moved, the camera is "
            "another, or it shows another person"
        )
    _note_residuals(result, reports)
    found = int(result.found[JAW_COUNT:].sum())
    count = sum(report.status == OK for report in reports)
    if count < 2 or found < LEAST_POINTS:
        status = "too_few_views" if count < 2 else "inconsistent"
        reason = f"{count} usable views agree about {found} of 51 inner landmarks; {LEAST_POINTS} are needed"
        return nothing(status, reason, reports)
    return Landmarks(
        OK, "", reports, result.points, result.covariance, result.inliers, detections, scores, notes
    )


def _triangulated(
    cameras: Pinholes,
    detections: FloatArray,
    extents: FloatArray,
    reports: Sequence[ViewReport],
    settings: TriangulateSettings,
) -> Triangulated:
    """With the views that are `ok`; the arrays hold all views."""
    use = np.array([report.status == OK for report in reports])
    some = triangulate_views(
        cameras[use], detections[use], extents[use], settings.outlier, settings.noise, settings.min_angle
    )
    inliers, residuals = np.zeros((68, len(use)), bool), np.full((68, len(use)), np.nan)
    inliers[:, use], residuals[:, use] = some.inliers, some.residuals
    return Triangulated(some.points, some.covariance, inliers, residuals)


def _note_turns(cameras: Pinholes, result: Triangulated, reports: Sequence[ViewReport]) -> None:
    axes = head_axes(result.points)
    if axes is not None:
        for report, turn in zip(reports, view_turns(cameras, axes), strict=True):
            report.turn = float(turn)


def _note_residuals(result: Triangulated, reports: Sequence[ViewReport]) -> None:
    for view, report in enumerate(reports):
        errors = result.residuals[JAW_COUNT:, view]
        errors = errors[np.isfinite(errors)]
        report.residual = float(np.sqrt((errors**2).mean())) if len(errors) else None


def _explained(
    cameras: Pinholes,
    views: Sequence[PreparedView],
    faces: Sequence[Sequence[Any]],
    mirrored_order: NDArray[np.int64],
    settings: TriangulateSettings,
) -> tuple[str, str] | None:
    points = np.stack([some[0].points for some in faces])
    extents = np.array([some[0].extent for some in faces])
    widths = np.array([view.size[1] for view in views])
    limit = COARSE * settings.outlier
    found = diagnose(cameras, points, extents, widths, mirrored_order, limit)
    return None if found is None else (found.status, found.reason)


def nothing(status: str, reason: str, reports: list[ViewReport]) -> Landmarks:
    """The result of a capture that cannot go on."""
    count = len(reports)
    return Landmarks(
        status,
        reason,
        reports,
        np.full((68, 3), np.nan),
        np.full((68, 3, 3), np.nan),
        np.zeros((68, count), bool),
        np.full((count, 68, 2), np.nan),
        np.full(count, np.nan),
    )


def write_landmarks(landmarks: Landmarks, arrays: str | Path, report: str | Path) -> None:
    """Write `landmarks.npz` and `landmarks.json` (docs/triangulate_landmarks.md)."""
    save_arrays(
        arrays,
        {
            "points": landmarks.points,
            "covariance": landmarks.covariance,
            "inliers": landmarks.inliers,
            "detections": landmarks.detections,
            "scores": landmarks.scores,
            "view": np.array([view.name for view in landmarks.views], dtype=str),
        },
    )
    write_json(
        report,
        {
            "status": landmarks.status,
            "reason": landmarks.reason,
            "notes": landmarks.notes,
            "found": int(np.isfinite(landmarks.points).all(axis=1).sum()),
            "views": [
                {
                    "name": view.name,
                    "status": view.status,
                    "reason": view.reason,
                    "residual_px": view.residual,
                    "turn_degrees": view.turn,
                }
                for view in landmarks.views
            ],
        },
    )
