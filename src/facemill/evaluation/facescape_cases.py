"""The single-view benchmark of FaceScape over a table of predictions (`mesh_cases`, with cameras)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from facemill.evaluation.facescape_benchmark import (
    PUPIL_DISTANCE,
    BenchmarkScore,
    HeadAxis,
    align_by_projection,
    score_face,
    summarise,
)
from facemill.evaluation.mesh_cases import MeshPair, counts_of, score_table
from facemill.evaluation.settings import FacescapeTask
from facemill.geometry.mesh import FloatArray
from facemill.runtime.errors import PhotoError
from facemill.runtime.files import write_json, write_text
from facemill.runtime.tables import OK

NUMBERS = ("fx", "fy", "cx", "cy", "width", "height", "yaw")
AXIS_BEHIND_NOSE = 100.0
POINTS = 5


def head_axis(points: FloatArray, behind_nose: float = AXIS_BEHIND_NOSE) -> HeadAxis:
    """The axis of a head from its points: up is from the mouth to the eyes.

    The benchmark does not say where its axis lies; here it is `behind_nose` mm behind the tip of the nose.

    Args:
        points: (5, 3) image-left and image-right eye, tip of the nose, mouth corners; camera frame, mm.
    """
    across = points[1] - points[0]
    up = points[:2].mean(axis=0) - points[3:5].mean(axis=0)
    up = up - across * (up @ across) / (across @ across)
    up = up / np.linalg.norm(up)
    front = np.cross(across / np.linalg.norm(across), up)
    return HeadAxis(points[2] - behind_nose * front, up, front)


def score_pair(pair: MeshPair) -> BenchmarkScore:
    """The score of one prediction; the first two points are the pupils.

    Raises:
        PhotoError: `bad_ground_truth`: fewer than five points, or a camera that is none;
            `bad_prediction`: it does not project to where the true face is.
    """
    if len(pair.truth_points) < POINTS:
        raise PhotoError("bad_ground_truth", f"{len(pair.truth_points)} points, expected {POINTS} or more")
    fx, fy, cx, cy, width, height, _ = (pair.numbers[name] for name in NUMBERS)
    if min(fx, fy, width, height) <= 0:
        raise PhotoError("bad_ground_truth", "fx, fy, width and height must be positive")
    intrinsics = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
    size = (int(height), int(width))
    pupils = pair.prediction_points[:2], pair.truth_points[:2]
    try:
        ours, theirs = align_by_projection(pair.prediction, pair.truth, *pupils, intrinsics, size)
    except ValueError as error:
        raise PhotoError("bad_prediction", str(error)) from error
    scale = PUPIL_DISTANCE / np.linalg.norm(pupils[1][0] - pupils[1][1])
    return score_face(ours, theirs, head_axis(scale * pair.truth_points[:POINTS]))


def evaluate_facescape(task: FacescapeTask, summary: str | Path, cases: str | Path) -> None:
    """Score the table of a task; write the means by subset (JSON) and a row per case (CSV).

    Raises:
        FormatError: the table is missing, lacks a column, is empty or names a case twice.
    """
    numbers = (*NUMBERS, "focal_length") if task.by_focal_length else NUMBERS
    table = score_table(task.cases, score_pair, BenchmarkScore._fields, numbers)
    write_json(summary, {"protocol": "facescape_benchmark", "origin": task.origin, **_means(table, task)})
    write_text(cases, table.to_csv(index=False, lineterminator="\n"))


def _means(table: pd.DataFrame, task: FacescapeTask) -> dict[str, Any]:
    good = table[table["status"] == OK]
    subsets: dict[str, dict[str, Any]] = {}
    if len(good):
        scores = [BenchmarkScore(*row) for row in good[list(BenchmarkScore._fields)].to_numpy()]
        focal_lengths = good["focal_length"].tolist() if task.by_focal_length else None
        means = summarise(scores, good["yaw"].tolist(), focal_lengths).set_index("subset")
        subsets = {
            str(name): {str(key): None if pd.isna(value) else float(value) for key, value in row.items()}
            for name, row in means.to_dict("index").items()
        }
    return {"subsets": subsets, **counts_of(table)}
