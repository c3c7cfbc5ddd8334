"""Per-vertex shape error, as published for FaceWarehouse and BU-3DFE.

The protocols are not published in full. Described: the prediction is aligned to the true mesh and the error
is the mean distance over vertices, per mesh, then mean and standard deviation over meshes; for FaceWarehouse
a small and a larger region of the face are scored. Chosen here: with a correspondence (one true vertex for
each predicted vertex) the alignment is the least-squares similarity over the scored pairs and the error the
distance of the pairs; without one, the true mesh is registered to the prediction by nearest points
(`registration.register`) and the error is the distance from each scored true vertex to the surface.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from facemill.evaluation.mesh_cases import MeshFigure, MeshPair
from facemill.evaluation.registration import register
from facemill.evaluation.settings import ShapeErrorTask
from facemill.evaluation.surface_index import LibiglIndex
from facemill.geometry.mesh import FloatArray, IntArray, Mesh
from facemill.geometry.similarity import fit_similarity
from facemill.runtime.errors import PhotoError


class ShapeError(NamedTuple):
    """errors: (N,) mm per scored vertex; mean and std of them."""

    errors: FloatArray
    mean: float
    std: float


def corresponding_error(
    predicted: FloatArray, true: FloatArray, scored: IntArray | None = None, with_scale: bool = True
) -> ShapeError:
    """Error of corresponding vertices after the best similarity over the scored ones.

    Args:
        predicted, true: (V, 3) mm, vertex i of one corresponding to vertex i of the other.
        scored: vertex ids; None scores all.
    Raises:
        ValueError: shapes differ, or an id is out of range.
    """
    predicted, true = np.asarray(predicted, dtype=np.float64), np.asarray(true, dtype=np.float64)
    if predicted.shape != true.shape:
        raise ValueError(f"predicted and true must have one shape, not {predicted.shape} and {true.shape}")
    if scored is not None:
        if len(scored) and (np.min(scored) < 0 or np.max(scored) >= len(true)):
            raise ValueError(
                f"scored must hold ids 0..{len(true) - 1}, not {np.min(scored)}..{np.max(scored)}"
            )
        predicted, true = predicted[scored], true[scored]
    moved = fit_similarity(predicted, true, with_scale=with_scale).apply(predicted)
    return _error(np.linalg.norm(moved - true, axis=1))


def surface_error(
    prediction: Mesh,
    true_points: FloatArray,
    prediction_landmarks: FloatArray,
    true_landmarks: FloatArray,
    with_scale: bool = True,
) -> ShapeError:
    """Error of a mesh of any topology: distance from true vertices (N, 3) mm to the registered prediction.

    prediction_landmarks, true_landmarks: (L, 3), the same L >= 3 points; they only start the registration.
    """
    surface = LibiglIndex(prediction.vertices, prediction.triangles)
    start = fit_similarity(prediction_landmarks, true_landmarks, with_scale=with_scale)
    return _error(register(true_points, surface, start, with_scale=with_scale).distances)


def score_pair(pair: MeshPair, task: ShapeErrorTask) -> MeshFigure:
    """The mean error of one prediction, by corresponding vertices or by nearest points.

    Raises:
        PhotoError: `bad_prediction`: `correspondence`, and another number of vertices than the truth has.
    """
    if not task.correspondence:
        found = surface_error(
            pair.prediction, pair.truth.vertices, pair.prediction_points, pair.truth_points, task.with_scale
        )
        return MeshFigure(found.mean, len(found.errors))
    ours, theirs = pair.prediction.vertices, pair.truth.vertices
    if len(ours) != len(theirs):
        raise PhotoError(
            "bad_prediction", f"{len(ours)} vertices, the truth has {len(theirs)}: they do not correspond"
        )
    found = corresponding_error(ours, theirs, with_scale=task.with_scale)
    return MeshFigure(found.mean, len(found.errors))


def _error(errors: FloatArray) -> ShapeError:
    return ShapeError(errors, float(errors.mean()), float(errors.std()))
