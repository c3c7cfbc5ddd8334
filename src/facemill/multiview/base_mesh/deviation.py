"""How far each vertex of a base mesh may be off: one standard deviation, from the fit's own numbers."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from facemill.multiview.base_mesh.face_model import FaceModel
from facemill.multiview.base_mesh.state import POSE, PersonState, own_unknowns
from facemill.multiview.base_mesh.surface_fit import Surface
from facemill.multiview.view_geometry import FloatArray

MODEL_MISFIT = 1.5  # mm: what no coefficients express, where nothing but landmarks was seen
FADES = 8.0  # mm from a place over which what it says fades
NEAREST = 12  # places whose misfit is averaged
ROBUST = 1.4826  # of a median, for a standard deviation
CHUNK = 4096


def vertex_deviations(
    model: FaceModel, state: PersonState, covariance: FloatArray, capture: int, surface: Surface | None
) -> FloatArray:
    """(V,) mm: the coefficients' covariance, and what places say that the mesh still misses.

    Beside places the second part is the median of their distances; it grows to the misfit of the model
    without any, over `FADES`. Errors of the unit are not in it: they scale the whole head.
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
    if surface is None or len(surface.targets) < NEAREST:
        return np.sqrt(variance + MODEL_MISFIT**2)
    found = surface.evidence
    targets = (surface.targets - placed.translation) @ placed.rotation / placed.scale
    rest = np.abs(((targets - head[found.ids]) * (found.normals @ placed.rotation)).sum(axis=1))
    distance, nearest = cKDTree(head[found.ids]).query(head, k=NEAREST)
    near = ROBUST * np.median(rest[nearest], axis=1)
    share = np.exp(-0.5 * (distance[:, :3].mean(axis=1) / FADES) ** 2)
    misfit = share * near**2 + (1 - share) * MODEL_MISFIT**2
    return np.sqrt((1 - share) * variance + misfit)


def _root(matrix: FloatArray) -> FloatArray:
    """R with R R^T = `matrix`, symmetric and not negative; kept unknowns (rows of 0) do no harm."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return vectors * np.sqrt(np.maximum(values, 0))
