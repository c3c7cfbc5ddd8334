"""Normalised mean error of 68 landmarks (AFLW2000-3D, Zhu et al. 2016), overall and by yaw.

What the publications leave open, and what is done here: the error of a face is the mean Euclidean distance of
its 68 points in the picture (x and y only), divided by sqrt(width x height) of the box around the TRUE 68
points, in percent; the balanced figure is the mean over the yaw bins, each bin the mean over its faces (the
published 2.56, 3.11, 4.45 average to the published 3.37). Another way, drawing equally many faces from each
bin at random, gives a slightly different figure in each run.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from facemill.evaluation.settings import LandmarkErrorSettings, LandmarkTask, Origin
from facemill.formats.now_predictions import read_prediction_reasons
from facemill.formats.true_landmarks import TrueFace, prediction_file, read_prediction, read_true_faces
from facemill.geometry.mesh import FloatArray
from facemill.runtime.errors import FormatError
from facemill.runtime.files import write_json, write_text
from facemill.runtime.tables import OK

COLUMNS = ("photo", "yaw_degrees", "nme", "status", "reason")


@dataclass(frozen=True)
class LandmarkEvaluation:
    """`table`: one row per true face, `COLUMNS`; nme in percent, NaN where not scored; yaw NaN if unknown."""

    table: pd.DataFrame
    origin: Origin

    def summary(self, settings: LandmarkErrorSettings) -> dict[str, Any]:
        """NME in percent: over all scored faces, by yaw bin, balanced (None unless every bin has faces)."""
        good = self.table[self.table["status"] == OK]
        yaw = {}
        borders = settings.yaw_bins
        for low, high in pairwise(borders):
            size = good["yaw_degrees"].abs()
            last = high == borders[-1]
            inside = good[(size >= low) & ((size <= high) if last else (size < high))]
            yaw[f"{low:g}-{high:g}"] = {"nme": _mean(inside["nme"]), "faces": len(inside)}
        means = [entry["nme"] for entry in yaw.values() if entry["nme"] is not None]
        missing = int((self.table["status"] == "missing_prediction").sum())
        return {
            "protocol": "landmarks",
            "origin": self.origin,
            "nme": _mean(good["nme"]),
            "balanced_nme": float(np.mean(means)) if len(means) == len(yaw) > 0 else None,
            "yaw": yaw,
            "faces": len(self.table),
            "scored": len(good),
            "missing": missing,
            "failed": len(self.table) - len(good) - missing,
        }


def evaluate_landmarks(task: LandmarkTask) -> LandmarkEvaluation:
    """Score predicted landmarks against the true ones of a folder.

    Raises:
        FormatError: no true landmarks in the folder, or no prediction for any of them.
    """
    faces = read_true_faces(task.folder)
    files = {face.photo: prediction_file(task.predictions, face.photo) for face in faces}
    reasons = read_prediction_reasons(task.predictions)
    if not reasons and not any(files.values()):
        raise FormatError(
            f"{task.predictions} holds no landmarks for any of the {len(faces)} photos of {task.folder}",
            f"{faces[0].photo}.txt, {faces[0].photo}.pts or {faces[0].photo}/landmarks68.txt and the like",
            "none of them",
            "name the predictions after the photos",
        )
    rows = [_row(face, files[face.photo], reasons.get(face.photo, "")) for face in faces]
    return LandmarkEvaluation(pd.DataFrame(rows, columns=list(COLUMNS)), task.origin)


def normalised_mean_error(predicted: FloatArray, true: FloatArray) -> float:
    """Mean distance over sqrt(width x height) of the true box, in percent.

    Args:
        predicted, true: (N, 2) or (N, 3) pixels; only x and y count.
    Raises:
        ValueError: shapes differ, a number is not finite, or the true points have no box.

    >>> square = np.array([[0.0, 0.0], [40.0, 0.0], [40.0, 10.0], [0.0, 10.0]])       # sqrt(40 x 10) = 20
    >>> normalised_mean_error(square + [3.0, 4.0], square)
    25.0
    """
    predicted, true = np.asarray(predicted, dtype=np.float64), np.asarray(true, dtype=np.float64)
    if (
        predicted.shape[:1] != true.shape[:1]
        or predicted.ndim != 2
        or min(predicted.shape[1], true.shape[1]) < 2
    ):
        raise ValueError(
            f"predicted and true must have as many points, not {predicted.shape} and {true.shape}"
        )
    predicted, true = predicted[:, :2], true[:, :2]
    if not (np.isfinite(predicted).all() and np.isfinite(true).all()):
        raise ValueError("landmarks must be finite numbers")
    size = float(np.sqrt(np.prod(np.ptp(true, axis=0))))
    if size <= 0:
        raise ValueError("the true points lie on one line: they have no box to normalise by")
    return float(100 * np.linalg.norm(predicted - true, axis=1).mean() / size)


def write_landmarks(
    evaluation: LandmarkEvaluation,
    settings: LandmarkErrorSettings,
    summary: str | Path,
    table: str | Path,
    source: str = "",
) -> None:
    """Write the figures (JSON) and a row per face (CSV); `source`: what the predictions are."""
    write_json(summary, {**evaluation.summary(settings), "predictions": source})
    write_text(table, evaluation.table.to_csv(index=False, lineterminator="\n"))


def _row(face: TrueFace, path: Path | None, why_missing: str) -> tuple[str, float, float, str, str]:
    if path is None:
        reason = why_missing or f"no landmarks for {face.photo}"
        return face.photo, face.yaw_degrees, np.nan, "missing_prediction", reason
    try:
        if face.points is None:
            return face.photo, face.yaw_degrees, np.nan, "bad_ground_truth", face.fault
        error = normalised_mean_error(read_prediction(path), face.points)
    except FormatError as problem:
        return face.photo, face.yaw_degrees, np.nan, "bad_prediction", problem.sentence
    except ValueError as problem:
        return face.photo, face.yaw_degrees, np.nan, "bad_prediction", f"{path}: {problem}"
    return face.photo, face.yaw_degrees, error, OK, ""


def _mean(values: pd.Series) -> float | None:
    return float(values.mean()) if len(values) else None
