"""The MICC Florence protocol as the publications describe it: a crop, ICP, point-to-plane RMSE per mesh.

No official code exists. Described: the scan is cropped to 95 mm around the tip of the nose, the prediction is
aligned with one isotropic scale per mesh (by landmarks, then ICP), the error is the root mean square of
point-to-plane distances of a mesh, and a method gets mean and standard deviation over meshes. Not described,
and chosen here: distances run from the vertices of the cropped scan to the prediction; the ICP minimises
point-to-surface distances to convergence (`registration.register`); the plane is that of the nearest
triangle; "the forehead is cut" is a plane at a height above the nose tip that the caller gives, none by
default.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from facemill.evaluation.mesh_cases import MeshFigure, MeshPair
from facemill.evaluation.registration import register
from facemill.evaluation.settings import MiccSettings
from facemill.evaluation.surface_index import LibiglIndex
from facemill.geometry.mesh import FloatArray, IntArray, Mesh
from facemill.geometry.similarity import Similarity, fit_similarity
from facemill.runtime.errors import PhotoError

RADIUS = 95.0
MIN_POINTS = 100


class MiccResult(NamedTuple):
    """rmse: mm, point to plane. points: scan vertices it is about. scan_from_prediction: the alignment."""

    rmse: float
    points: int
    scan_from_prediction: Similarity


class MiccSummary(NamedTuple):
    """Over meshes: mean and population standard deviation of their RMSE, mm."""

    mean: float
    std: float
    meshes: int


def crop_to_face(
    vertices: FloatArray,
    nose_tip: FloatArray,
    radius: float = RADIUS,
    up: FloatArray | None = None,
    forehead: float | None = None,
) -> IntArray:
    """Numbers of the vertices within `radius` mm of the nose tip and, with `up`, below the forehead plane.

    Args:
        up: (3,) direction, any length; forehead: mm above the nose tip along it. Both or neither.
    """
    if (up is None) != (forehead is None):
        raise ValueError("up and forehead come together: one of them is None")
    offset = np.asarray(vertices, dtype=np.float64) - nose_tip
    kept = np.linalg.norm(offset, axis=1) <= radius
    if up is not None and forehead is not None:
        kept &= offset @ (np.asarray(up) / np.linalg.norm(up)) <= forehead
    return np.flatnonzero(kept)


def evaluate_mesh(
    prediction: Mesh,
    prediction_landmarks: FloatArray,
    scan_points: FloatArray,
    scan_landmarks: FloatArray,
    tolerance: float = 5e-3,
) -> MiccResult:
    """Align a prediction to a cropped scan and take the point-to-plane RMSE.

    Args:
        prediction_landmarks, scan_landmarks: (L, 3), the same L >= 3 points in both frames (five are usual).
        scan_points: (N, 3) mm, of `crop_to_face`.
    """
    surface = LibiglIndex(prediction.vertices, prediction.triangles)
    start = fit_similarity(prediction_landmarks, scan_landmarks)
    found = register(scan_points, surface, start, tolerance=tolerance).scan_from_prediction
    rmse = float(np.sqrt((point_to_plane(scan_points, surface, found) ** 2).mean()))
    return MiccResult(rmse, len(scan_points), found)


def point_to_plane(points: FloatArray, surface: LibiglIndex, scan_from_prediction: Similarity) -> FloatArray:
    """(N,) unsigned distances, mm, from points to the plane of the nearest triangle of the moved surface."""
    local = scan_from_prediction.inverse().apply(points)
    closest = surface.closest(local)
    a, b, c = np.moveaxis(surface.vertices[surface.triangles[closest.triangle_ids]], 1, 0)
    normals = np.cross(b - a, c - a)
    length = np.linalg.norm(normals, axis=1)
    flat = length == 0  # a triangle without area has no plane: the distance to it counts
    plane = np.abs(((local - a) * normals).sum(axis=1)) / np.where(flat, 1.0, length)
    return scan_from_prediction.scale * np.where(flat, closest.distances, plane)


def score_pair(pair: MeshPair, settings: MiccSettings) -> MeshFigure:
    """The RMSE of one prediction against the crop of its scan.

    Raises:
        PhotoError: `bad_ground_truth`: the points lack the tip of the nose, or the crop is empty.
    """
    points = pair.truth_points
    if settings.nose_tip >= len(points):
        raise PhotoError(
            "bad_ground_truth", f"{len(points)} points; evaluate_micc.nose_tip is {settings.nose_tip}"
        )
    nose = points[settings.nose_tip]
    up = points[:2].mean(axis=0) - points[-2:].mean(axis=0) if settings.forehead is not None else None
    kept = crop_to_face(pair.truth.vertices, nose, settings.radius, up, settings.forehead)
    if len(kept) < MIN_POINTS:
        raise PhotoError(
            "bad_ground_truth",
            f"{len(kept)} scan vertices within {settings.radius:g} mm of the tip of the nose, expected at "
            f"least {MIN_POINTS}: scan and points differ in unit or frame",
        )
    result = evaluate_mesh(pair.prediction, pair.prediction_points, pair.truth.vertices[kept], points)
    return MeshFigure(result.rmse, result.points)


def summarise(results: list[MiccResult]) -> MiccSummary:
    """Mean and standard deviation over meshes.

    Raises:
        ValueError: no results.
    """
    if not results:
        raise ValueError("results is empty: there is no mesh to summarise")
    errors = np.array([result.rmse for result in results])
    return MiccSummary(float(errors.mean()), float(errors.std()), len(errors))
