"""How far each vertex of a base mesh may be off: one standard deviation, from the fit's own numbers."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from facemill.multiview.base_mesh.face_model import FaceModel
from facemill.multiview.base_mesh.smooth_offset import robust_weight
from facemill.multiview.base_mesh.state import POSE, PersonState, own_unknowns
from facemill.multiview.base_mesh.surface_fit import Surface
from facemill.multiview.view_geometry import FloatArray

MODEL_MISFIT = 1.5  # mm: what no coefficients express, where nothing but landmarks was seen
NEAR = 3.0  # mm, standard deviation of the weight of a place by its distance
NEAREST = 48  # places that are looked at: 2 mm apart, all within 2.6 times `NEAR`
ENOUGH = 5  # views of a place that counts whole
TOGETHER = 22.0  # places that err alike, because their scores are means over neighbours
FLOOR = 0.25  # mm: what a place may err with all its neighbours, however well they agree
CHUNK = 4096


def vertex_deviations(
    model: FaceModel, state: PersonState, covariance: FloatArray, capture: int, surface: Surface | None
) -> FloatArray:
    """(V,) mm, from the spread of the places around each vertex and from how many they are.

    n places of spread s tell where the surface is to (`TOGETHER` s^2 + `FLOOR`^2) / n; the model, to the
    coefficients' covariance and `MODEL_MISFIT`^2. Each counts by its precision, so that the deviation falls
    with more views, and grows to the model's away from all places. `TOGETHER` and `FLOOR` were fitted to
    the distances of 20 base meshes of synthetic captures (docs/fit_base_mesh.md). Errors of the unit are not
    in it: they scale the whole head.

    Args:
        surface: what the last pass found; None: landmarks alone.
    """
    placed = state.captures[capture]
    head = state.head(model, capture)
    unknowns = np.r_[: len(state.identity), np.arange(covariance.shape[0])[own_unknowns(state, capture)]]
    shape = np.delete(unknowns, np.s_[len(state.identity) : len(state.identity) + POSE])
    factor = _root(covariance[np.ix_(shape, shape)])
    variance = np.empty(len(head))
    for begin in range(0, len(head), CHUNK):
        ids = np.arange(begin, min(begin + CHUNK, len(head)))
        jacobian = model.jacobian(state.identity, placed.expression, ids)
        variance[ids] = ((jacobian @ factor) ** 2).sum(axis=(1, 2)) / 3
    model_variance = variance + MODEL_MISFIT**2
    if surface is None or len(surface.targets) < NEAREST:
        return np.sqrt(model_variance)
    found = surface.evidence
    targets = (surface.targets - placed.translation) @ placed.rotation / placed.scale
    rest = ((targets - head[found.ids]) * (found.normals @ placed.rotation)).sum(axis=1)
    share = np.where(found.outlines, 1, np.minimum(found.views / ENOUGH, 1))
    distance, nearest = cKDTree(head[found.ids]).query(head, k=NEAREST)
    weight = (found.weight * share)[nearest] * np.exp(-0.5 * (distance / NEAR) ** 2)
    return np.sqrt(1 / (weight.sum(axis=1) / _variance_of_places(rest[nearest], weight) + 1 / model_variance))


def _variance_of_places(rest: FloatArray, weight: FloatArray) -> FloatArray:
    """(V,) mm^2 of one place: rest, weight (V, N), distances of places along their normals."""
    trusted = weight * robust_weight(rest)
    total = np.maximum(trusted.sum(axis=1, keepdims=True), 1e-12)
    mean = (trusted * rest).sum(axis=1, keepdims=True) / total
    return TOGETHER * (trusted * (rest - mean) ** 2 / total).sum(axis=1) + FLOOR**2


def _root(matrix: FloatArray) -> FloatArray:
    """R with R R^T = `matrix`, symmetric and not negative; kept unknowns (rows of 0) do no harm."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return vectors * np.sqrt(np.maximum(values, 0))
