"""The NoW protocol for shapes in memory: how a training judges the shapes of its network."""

from __future__ import annotations

import numpy as np

from facemill.evaluation.now_case import Prediction, score
from facemill.evaluation.scan_region import ScanRegion
from facemill.evaluation.settings import NowSettings, NowTask
from facemill.geometry.mesh import FloatArray, IntArray

TASK = NowTask(dataset="", predictions="")
SETTINGS = NowSettings()


def protocol_distances(
    true_points: FloatArray,
    true_landmarks: FloatArray,
    vertices: FloatArray,
    triangles: IntArray,
    landmarks: FloatArray,
) -> FloatArray:
    """Distances (N,), mm, from true points to a predicted surface that was moved to them as NoW does it.

    Args:
        true_points: (N, 3) mm, what is scored of the true surface; true_landmarks: (7, 3) mm.
        vertices: (V, 3), triangles: (F, 3), landmarks: (7, 3), the prediction, in a frame and a size of its
            own.
    Raises:
        PhotoError: `bad_landmarks`: the prediction is no face.
    """
    nothing = np.zeros((0, 3), dtype=np.int64)
    scan = ScanRegion(true_points, np.arange(len(true_points)), true_points, nothing, true_landmarks, "")
    return score(scan, Prediction(vertices, triangles, landmarks), TASK, SETTINGS).distances
