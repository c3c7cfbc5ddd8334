"""One prediction against one scan under the NoW protocol."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facemill.evaluation.registration import Registration, register
from facemill.evaluation.scan_region import ScanRegion
from facemill.evaluation.settings import NowSettings, NowTask
from facemill.evaluation.seven_landmarks import order_fault
from facemill.evaluation.surface_index import index_surface
from facemill.formats.meshes import read_mesh
from facemill.formats.now import NowCase
from facemill.formats.now_predictions import prediction_files, read_prediction_landmarks
from facemill.geometry.mesh import FloatArray, IntArray
from facemill.geometry.similarity import Similarity, fit_similarity
from facemill.runtime.errors import FormatError, PhotoError

MILLIMETRES = {"mm": 1.0, "cm": 10.0, "dm": 100.0, "m": 1000.0}
MAX_GAP = 0.5  # of the outer eye distance, between the predicted landmarks and the predicted surface
DOUBTFUL = 0.1  # of the outer eye distance: residual of the landmark fit above which more starts are tried
METRICAL_RANGE = (0.6, 1.6)  # ratio of true to predicted size that a metrical prediction can have


@dataclass(frozen=True)
class Prediction:
    """A predicted surface: vertices (V, 3), triangles (F, 3), landmarks (7, 3), all in one frame and unit."""

    vertices: FloatArray
    triangles: IntArray
    landmarks: FloatArray


def score_case(case: NowCase, scan: ScanRegion, task: NowTask, settings: NowSettings) -> Registration:
    """Read the prediction of `case` and measure it.

    Raises:
        PhotoError: `missing_prediction`, `bad_prediction`, `bad_landmarks` or `wrong_unit`; the reason names
            the file.
    """
    files = prediction_files(task.predictions, case)
    if files.mesh is None:
        wanted = Path(task.predictions) / case.name
        raise PhotoError("missing_prediction", f"{wanted}.obj or .ply is missing")
    return score(scan, read_prediction(files.mesh, files.landmarks), task, settings, str(files.mesh))


def read_prediction(mesh_path: Path, landmarks_path: Path | None) -> Prediction:
    """Read a predicted mesh (OBJ or PLY, with or without colours) and its seven landmarks.

    Raises:
        PhotoError: `bad_prediction` or `bad_landmarks`.
    """
    if landmarks_path is None:
        raise PhotoError(
            "bad_landmarks", f"{mesh_path.with_suffix('')}.npy or .txt with 7 x 3 landmarks is missing"
        )
    try:
        landmarks = read_prediction_landmarks(landmarks_path)
    except FormatError as error:
        raise PhotoError("bad_landmarks", error.sentence) from error
    try:
        mesh = read_mesh(mesh_path)
    except FormatError as error:
        raise PhotoError("bad_prediction", error.sentence) from error
    return Prediction(mesh.vertices, mesh.triangles, landmarks)


def score(
    scan: ScanRegion, prediction: Prediction, task: NowTask, settings: NowSettings, name: str = "prediction"
) -> Registration:
    """Align the prediction to the scan and measure each scored vertex (the protocol, from arrays).

    Raises:
        PhotoError: `bad_landmarks`, `bad_prediction` or `wrong_unit`.
    """
    factor = MILLIMETRES[task.unit] if task.metrical else 1.0
    vertices, landmarks = factor * prediction.vertices, factor * prediction.landmarks
    fault = order_fault(landmarks)
    if fault:
        raise PhotoError("bad_landmarks", f"landmarks of {name}: {fault}")
    surface = index_surface(vertices, prediction.triangles, settings.engine)
    gap = float(surface.closest(landmarks).distances.max())
    eye_distance = float(np.linalg.norm(landmarks[3] - landmarks[0]))
    if gap > MAX_GAP * eye_distance:
        extent = float(np.ptp(vertices[np.unique(prediction.triangles)], axis=0).max())
        raise PhotoError(
            "bad_landmarks",
            f"landmarks of {name} lie up to {gap:.4g} away from its surface (outer eye corners "
            f"{eye_distance:.4g} apart, surface {extent:.4g} long): another unit or frame than the mesh",
        )
    start = fit_similarity(landmarks, scan.landmarks)
    if task.metrical:
        low, high = METRICAL_RANGE
        if not low < start.scale < high:
            raise PhotoError("wrong_unit", f"{name} {_unit_words(start.scale, task.unit)}")
        start = fit_similarity(landmarks, scan.landmarks, with_scale=False)
    return register(
        scan.points,
        surface,
        start,
        with_scale=not task.metrical,
        tolerance=settings.tolerance,
        max_iterations=settings.max_iterations,
        turned_starts=_doubtful(start, landmarks, scan.landmarks),
    )


def _doubtful(start: Similarity, landmarks: FloatArray, target: FloatArray) -> bool:
    """Whether the landmarks fit so badly that the alignment should not rely on them alone."""
    residual = np.sqrt(((start.apply(landmarks) - target) ** 2).sum(axis=1).mean())
    return bool(residual > DOUBTFUL * np.linalg.norm(target[3] - target[0]))


def _unit_words(ratio: float, unit: str) -> str:
    near = min(MILLIMETRES, key=lambda name: abs(np.log(ratio * MILLIMETRES[unit] / MILLIMETRES[name])))
    hint = f"set unit: {near}" if near != unit else "check its size"
    return f"is {1 / ratio:.4g} times as large as the scan when read in {unit}; metrical: {hint}"
