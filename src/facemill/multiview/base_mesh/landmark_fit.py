"""The model brought onto the triangulated landmarks and onto the jaw's outline in each view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from facemill.geometry.similarity import fit_similarity
from facemill.models.contour import JAW_COUNT, SlidingContour
from facemill.multiview.base_mesh.face_model import FaceModel
from facemill.multiview.base_mesh.settings import FitBaseMeshSettings
from facemill.multiview.base_mesh.state import (
    Equations,
    PersonState,
    Placed,
    Prior,
    added,
    equations_of,
    stepped,
    world_jacobian,
)
from facemill.multiview.view_geometry import FloatArray, Pinholes

INNER = np.arange(JAW_COUNT, 68)
POSE_STEPS, STEPS = 5, 15
TOLERANCE = 2.5  # deviations at which a landmark counts half (Cauchy)


@dataclass(frozen=True)
class CaptureLandmarks:
    """The landmarks of one capture.

    points (68, 3), covariance (68, 3, 3): world, NaN where unknown. cameras: the V views in use.
    detections: (V, 68, 2) px. known_scale: the world's unit is the millimetre.
    """

    points: FloatArray
    covariance: FloatArray
    cameras: Pinholes
    detections: FloatArray
    known_scale: bool

    @property
    def usable(self) -> NDArray[np.int64]:
        """Inner landmarks that were found."""
        return INNER[np.isfinite(self.points[INNER]).all(axis=1)]


class LandmarkFit:
    """Fits the landmarks of all captures of a person; prepared once per model.

    Args:
        offsets: (68, 3) mm, head frame, from the model's landmarks to the detector's.
    """

    def __init__(self, model: FaceModel, offsets: FloatArray, settings: FitBaseMeshSettings) -> None:
        self.model, self.offsets, self.settings = model, offsets, settings
        mean = model.vertices(np.zeros(model.identity_count), np.zeros(model.expression_count))
        self.contour = SlidingContour(model.topology, torch.from_numpy(mean))
        self.ids = model.topology.landmarks68.numpy()
        self.mean = mean

    def start(self, captures: list[CaptureLandmarks]) -> PersonState:
        """The mean face in each capture, by the similarity of its landmarks."""
        placed = []
        for capture in captures:
            use = self._with_vertex(capture.usable)
            source = self.mean[self.ids[use]] + self.offsets[use]
            found = fit_similarity(source, capture.points[use], with_scale=not capture.known_scale)
            placed.append(
                Placed(
                    found.rotation,
                    found.translation,
                    found.scale,
                    np.zeros(self.model.expression_count),
                    np.zeros((self.model.vertex_count, 3)),
                )
            )
        return PersonState(np.zeros(self.model.identity_count), tuple(placed))

    def fit(
        self, captures: list[CaptureLandmarks], state: PersonState, prior: Prior
    ) -> tuple[PersonState, FloatArray]:
        """The state of largest posterior, and the covariance of its unknowns (see `state.stepped`)."""
        for _ in range(POSE_STEPS):
            equations = [self.equations(capture, state, n) for n, capture in enumerate(captures)]
            state, covariance = stepped(state, equations, prior, shape=False)
        for _ in range(STEPS):
            equations = [self.equations(capture, state, n) for n, capture in enumerate(captures)]
            state, covariance = stepped(state, equations, prior)
        return state, covariance

    def equations(
        self, capture: CaptureLandmarks, state: PersonState, number: int, share: float = 1.0
    ) -> Equations:
        """Of the inner landmarks and the jaw; `share` scales their weight."""
        inner = self._inner(capture, state, number)
        jaw = self._jaw(capture, state, number)
        total = added(inner, jaw)
        return Equations(share * total.matrix, share * total.vector)

    def _with_vertex(self, landmarks: NDArray[np.int64]) -> NDArray[np.int64]:
        return landmarks[self.ids[landmarks] >= 0]

    def _inner(self, capture: CaptureLandmarks, state: PersonState, number: int) -> Equations:
        use = self._with_vertex(capture.usable)
        placed = state.captures[number]
        ids = self.ids[use]
        head = self.model.vertices(state.identity, placed.expression, ids) + placed.offset[ids]
        head = head + self.offsets[use]
        error = capture.points[use] - placed.to_world(head)
        noise = (self.settings.landmark_noise * placed.scale) ** 2 * np.eye(3)
        whitening = np.linalg.cholesky(np.linalg.inv(capture.covariance[use] + noise)).transpose(0, 2, 1)
        white = np.einsum("nij,nj->ni", whitening, error)
        jacobian = whitening @ world_jacobian(self.model, state, number, ids, head)
        weight = np.repeat(1 / (1 + (white**2).sum(axis=1) / (3 * TOLERANCE**2)), 3)
        return equations_of(jacobian.reshape(-1, jacobian.shape[2]), white.ravel(), weight)

    def _jaw(self, capture: CaptureLandmarks, state: PersonState, number: int) -> Equations:
        """Across the outline, in each view, as mm at the face; the views together count as one."""
        placed = state.captures[number]
        candidates = self.contour.candidates.numpy()
        ids = candidates.ravel()
        head = self.model.vertices(state.identity, placed.expression, ids) + placed.offset[ids]
        pixels, depth = capture.cameras.project(placed.to_world(head))
        views = len(capture.cameras)
        relative = np.diag([1.0, -1.0, -1.0]) @ capture.cameras.rotations @ placed.rotation
        roll = np.arctan2(relative[:, 1, 0], relative[:, 0, 0])
        grid = pixels.reshape(views, *candidates.shape, 2)
        columns = self.contour.choose(torch.from_numpy(np.nan_to_num(grid)), torch.from_numpy(roll)).numpy()
        rows = np.arange(JAW_COUNT) * candidates.shape[1] + columns
        chosen = candidates[np.arange(JAW_COUNT), columns]
        outward = self.contour.outward.numpy()
        cosine, sine = np.cos(roll)[:, None], np.sin(roll)[:, None]
        direction = np.stack(
            [cosine * outward[:, 0] - sine * outward[:, 1], -(sine * outward[:, 0] + cosine * outward[:, 1])],
            axis=-1,
        )
        focal = capture.cameras.intrinsics[:, 0, 0, None]
        millimetres = np.take_along_axis(depth, rows, axis=1) / focal / placed.scale
        at = np.take_along_axis(pixels, rows[..., None], axis=1)
        error = ((capture.detections[:, :JAW_COUNT] - at) * direction).sum(-1) * millimetres
        error[:, self.ids[:JAW_COUNT] < 0] = np.nan
        noise = self.settings.contour_noise * np.sqrt(views)
        jacobian = []
        for view in range(views):
            places = head[rows[view]]
            moved = world_jacobian(self.model, state, number, chosen[view], places)
            by_pixel = capture.cameras[[view]].pixel_jacobians(placed.to_world(places))[0]
            across = np.einsum("ni,nij->nj", direction[view] * millimetres[view][:, None], by_pixel)
            jacobian.append(np.einsum("nj,njk->nk", across, moved))
        white = (error / noise).ravel()
        good = np.isfinite(white)
        rows_of_all = np.concatenate(jacobian)[good] / noise
        white = white[good]
        weight = 1 / (1 + white**2 * views / TOLERANCE**2)
        return equations_of(rows_of_all, white, weight)

    def residuals(self, capture: CaptureLandmarks, state: PersonState, number: int) -> FloatArray:
        """(V,) px: root mean square distance of the inner landmarks of each view to the fitted mesh's."""
        use = self._with_vertex(INNER)
        placed = state.captures[number]
        ids = self.ids[use]
        head = self.model.vertices(state.identity, placed.expression, ids) + placed.offset[ids]
        pixels, _ = capture.cameras.project(placed.to_world(head + self.offsets[use]))
        squared = ((pixels - capture.detections[:, use]) ** 2).sum(-1)
        return np.sqrt(np.nanmean(squared, axis=1))
