"""One scan made ready for scoring: read, checked, cleaned, cropped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facemill.evaluation.settings import NowSettings
from facemill.evaluation.seven_landmarks import front_of, order_fault, scored_region, unit_fault
from facemill.evaluation.visibility import visible_from_outside
from facemill.formats.meshes import read_mesh
from facemill.formats.now import read_scan_landmarks, scan_file, scan_landmarks_file
from facemill.geometry.mesh import FloatArray, IntArray
from facemill.runtime.errors import FormatError, PhotoError

MIN_VERTICES = 100
SAMPLE = 300  # vertices that are looked at to find interior surfaces
HIDDEN_SHARE = 0.03  # real scans hide a few vertices in the nostrils
MAX_LANDMARK_GAP = 15.0  # mm between a picked point and the nearest scan vertex


@dataclass(frozen=True)
class ScanRegion:
    """The scored part of a scan.

    points: (N, 3) mm, the vertices that count. ids: (N,) their numbers in `vertices`.
    vertices (V, 3), triangles (F, 3): the whole scan without triangles of no area; landmarks (7, 3).
    note: what was left out, in words; empty when nothing was.
    """

    points: FloatArray
    ids: IntArray
    vertices: FloatArray
    triangles: IntArray
    landmarks: FloatArray
    note: str


def read_scan_region(dataset: str | Path, subject: str, settings: NowSettings) -> ScanRegion:
    """Read scan and landmarks of `subject` and keep what the protocol scores.

    Raises:
        PhotoError: status `missing_scan`, `bad_scan` or `bad_scan_landmarks`; the reason names the file.
    """
    try:
        path, points_path = scan_file(dataset, subject), scan_landmarks_file(dataset, subject)
    except FormatError as error:
        raise PhotoError("missing_scan", error.sentence) from error
    try:
        landmarks = read_scan_landmarks(points_path)
    except FormatError as error:
        raise PhotoError("bad_scan_landmarks", error.sentence) from error
    try:
        mesh = read_mesh(path, need_triangles=False, need_numbers=False)
    except FormatError as error:
        raise PhotoError("bad_scan", error.sentence) from error
    fault = order_fault(landmarks)
    if fault:
        raise PhotoError("bad_scan_landmarks", f"{points_path}: {fault}")
    fault = unit_fault(landmarks)
    if fault:
        raise PhotoError("bad_scan_landmarks", f"{points_path}: {fault}; scans are in millimetres")
    return crop_scan(mesh.vertices, mesh.triangles, landmarks, settings, str(path))


def crop_scan(
    vertices: FloatArray,
    triangles: IntArray,
    landmarks: FloatArray,
    settings: NowSettings,
    name: str = "scan",
) -> ScanRegion:
    """Clean a scan and keep the vertices of its scored region.

    Vertices that are no numbers (a scanner's holes) are dropped with their triangles. Vertices of no triangle
    are leftovers of cleaning programs, not surface: they are left out unless the
    scan has no triangles at all (a point cloud). Triangles without area are dropped. Flipped triangles do
    not matter, because distances are unsigned.

    Raises:
        PhotoError: `bad_scan`: landmarks away from the surface, or too few vertices in the region.
    """
    vertices = np.asarray(vertices, dtype=np.float64)
    notes: list[str] = []
    warning = ""
    numbers = np.asarray(np.isfinite(vertices).all(axis=1))
    if not numbers.all():
        notes.append(f"{int((~numbers).sum())} vertices that are no numbers")
        triangles = (np.cumsum(numbers) - 1)[triangles[numbers[triangles].all(axis=1)]]
        vertices = vertices[numbers]
    if not len(vertices):
        raise PhotoError("bad_scan", f"{name}: no position of a vertex is a number")
    flat = _flat_triangles(vertices, triangles)
    if flat.any():
        notes.append(f"{int(flat.sum())} triangles without area")
        triangles = triangles[~flat]
    counted = scored_region(landmarks, settings.crop_factor).holds(vertices)
    if len(triangles):
        loose = np.ones(len(vertices), dtype=bool)
        loose[triangles.ravel()] = False
        if (counted & loose).any():
            notes.append(f"{int((counted & loose).sum())} vertices of no triangle")
        counted &= ~loose
    gaps = _gaps(landmarks, vertices)
    if gaps.max() > MAX_LANDMARK_GAP:
        raise PhotoError(
            "bad_scan",
            f"{name}: landmark {int(gaps.argmax())} is {gaps.max():.4g} away from the nearest vertex, "
            f"expected at most {MAX_LANDMARK_GAP:g} mm: scan and landmarks differ in unit, frame or person",
        )
    ids = np.flatnonzero(counted)
    if len(triangles) and len(ids):
        front = front_of(landmarks)
        if settings.visible_only:
            seen = visible_from_outside(vertices, triangles, ids, front, settings.directions)
            if not seen.all():
                notes.append(f"{int((~seen).sum())} vertices that cannot be seen from outside")
            ids = ids[seen]
        else:
            warning = _interior_words(vertices, triangles[counted[triangles].any(axis=1)], ids, front)
    if len(ids) < MIN_VERTICES:
        raise PhotoError(
            "bad_scan", f"{name}: {len(ids)} vertices in the scored region, expected at least {MIN_VERTICES}"
        )
    left_out = [f"left out of {name}: {', '.join(notes)}"] if notes else []
    inside = [f"{name}: {warning}"] if warning else []
    return ScanRegion(vertices[ids], ids, vertices, triangles, landmarks, "; ".join(left_out + inside))


def _interior_words(vertices: FloatArray, triangles: IntArray, ids: IntArray, front: FloatArray) -> str:
    """A warning when a notable share of the scored vertices is hidden, judged from a sample of them."""
    sample = ids[:: max(1, len(ids) // SAMPLE)]
    hidden = 1 - float(visible_from_outside(vertices, triangles, sample, front).mean())
    if hidden <= HIDDEN_SHARE:
        return ""
    return (
        f"about {hidden:.0%} of the scored vertices cannot be seen from outside (interior surfaces?); "
        "evaluate_now.visible_only leaves them out"
    )


def _flat_triangles(vertices: FloatArray, triangles: IntArray) -> NDArray[np.bool_]:
    if not len(triangles):
        return np.zeros(0, dtype=bool)
    corners = vertices[triangles]
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.asarray(np.linalg.norm(np.cross(first, second), axis=1) == 0.0)


def _gaps(landmarks: FloatArray, vertices: FloatArray) -> FloatArray:
    return np.array([np.sqrt(((vertices - point) ** 2).sum(axis=1).min()) for point in landmarks])
