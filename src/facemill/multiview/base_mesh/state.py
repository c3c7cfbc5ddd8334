"""What the fit of one person's captures looks for, and Gauss-Newton steps of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import linalg

from facemill.geometry.rotation import matrix_from_axis_angle
from facemill.multiview.base_mesh.face_model import FaceModel
from facemill.multiview.view_geometry import FloatArray

POSE = 7  # axis-angle increment, translation, log of the scale


@dataclass(frozen=True)
class Placed:
    """One capture's own part: world from head X = scale R x + t, and the expression's unknowns (S,).

    offset: (V, 3) mm, head frame, added to the model's vertices.
    """

    rotation: FloatArray
    translation: FloatArray
    scale: float
    expression: FloatArray
    offset: FloatArray

    def to_world(self, points: FloatArray) -> FloatArray:
        """Head frame (N, 3) -> world."""
        return self.scale * (points @ self.rotation.T) + self.translation

    def moved(self, step: FloatArray) -> Placed:
        """After a step (POSE + S,): turned about the head's origin, shifted, scaled, with more expression."""
        turn = matrix_from_axis_angle(torch.from_numpy(step[:3].copy())).numpy()
        return replace(
            self,
            rotation=turn @ self.rotation,
            translation=self.translation + step[3:6],
            scale=float(self.scale * np.exp(step[6])),
            expression=self.expression + step[POSE:],
        )

    def bounded(self, lower: float, upper: float) -> Placed:
        """With the expression's unknowns between two bounds."""
        return replace(self, expression=np.clip(self.expression, lower, upper))


@dataclass(frozen=True)
class PersonState:
    """identity (K,), standard deviations, shared; one `Placed` per capture."""

    identity: FloatArray
    captures: tuple[Placed, ...]

    def head(self, model: FaceModel, capture: int) -> FloatArray:
        """(V, 3) mm, head frame, with the offset."""
        placed = self.captures[capture]
        return model.vertices(self.identity, placed.expression) + placed.offset

    def world(self, model: FaceModel, capture: int) -> FloatArray:
        """(V, 3) of the capture's world."""
        return self.captures[capture].to_world(self.head(model, capture))


@dataclass(frozen=True)
class Equations:
    """Normal equations of one capture: matrix (M, M), vector (M,), M = POSE + K + S, towards the minimum."""

    matrix: FloatArray
    vector: FloatArray


def equations_of(jacobian: FloatArray, residual: FloatArray, weight: FloatArray) -> Equations:
    """Of R rows: jacobian (R, M), residual (R,) = seen - predicted, weight (R,), 1 over variance."""
    weighted = jacobian * weight[:, None]
    return Equations(weighted.T @ jacobian, weighted.T @ residual)


def added(*parts: Equations) -> Equations:
    """The sum of several."""
    matrix, vector = parts[0].matrix.copy(), parts[0].vector.copy()
    for part in parts[1:]:
        matrix += part.matrix
        vector += part.vector
    return Equations(matrix, vector)


def pose_jacobian(placed: Placed, points: FloatArray) -> FloatArray:
    """(N, 3, POSE): how world places of head-frame points (N, 3) move with the pose's increments."""
    moved = placed.scale * (points @ placed.rotation.T)
    x, y, z = moved.T
    zero = np.zeros_like(x)
    turning = np.stack([zero, z, -y, -z, zero, x, y, -x, zero], axis=1).reshape(-1, 3, 3)
    shifting = np.broadcast_to(np.eye(3), turning.shape)
    return np.concatenate([turning, shifting, moved[..., None]], axis=2)


def world_jacobian(
    model: FaceModel, state: PersonState, capture: int, ids: np.ndarray, points: FloatArray
) -> FloatArray:
    """(N, 3, M): how the world places of vertices `ids`, now at `points` (N, 3) in the head, move."""
    placed = state.captures[capture]
    shaping = model.jacobian(state.identity, placed.expression, ids)
    shaping = placed.scale * (placed.rotation @ shaping)
    return np.concatenate([pose_jacobian(placed, points), shaping], axis=2)


@dataclass(frozen=True)
class Prior:
    """Normal priors and bounds: identity deviation 1; `expression` its deviation; `lower`, `upper` bounds.

    known_scale: per capture, True keeps the scale.
    """

    expression: float
    lower: float
    upper: float
    known_scale: tuple[bool, ...]


def stepped(
    state: PersonState, equations: list[Equations], prior: Prior, shape: bool = True, damping: float = 1e-6
) -> tuple[PersonState, FloatArray]:
    """One Gauss-Newton step of all captures together.

    Expression unknowns that press against a bound stay (Bertsekas 1982).

    Args:
        shape: False moves the poses alone.
    Returns:
        the new state, and the covariance of all unknowns (identity, then pose and expression of each
        capture), 0 where one was kept.
    """
    identities = len(state.identity)
    expressions = len(state.captures[0].expression)
    own = POSE + expressions
    size = identities + own * len(state.captures)
    matrix, vector = np.zeros((size, size)), np.zeros(size)
    free = np.ones(size, bool)
    shared = slice(0, identities)
    matrix[shared, shared] += np.eye(identities)
    vector[shared] -= state.identity
    for number, (placed, part) in enumerate(zip(state.captures, equations, strict=True)):
        columns = _columns(number, identities, own)
        matrix[np.ix_(columns, columns)] += part.matrix
        vector[columns] += part.vector
        place = identities + own * number + POSE
        span = slice(place, place + expressions)
        matrix[span, span] += np.eye(expressions) / prior.expression**2
        vector[span] -= placed.expression / prior.expression**2
        free[place - 1] = not prior.known_scale[number]
        pull, x = vector[span], placed.expression
        free[span] = ~(((x <= prior.lower) & (pull < 0)) | ((x >= prior.upper) & (pull > 0)))
        if not shape:
            free[span] = False
    if not shape:
        free[shared] = False
    solved, covariance = np.zeros(size), np.zeros((size, size))
    part_matrix = matrix[np.ix_(free, free)]
    part_matrix += damping * np.diag(np.diag(part_matrix)) + 1e-12 * np.eye(len(part_matrix))
    factor = linalg.cho_factor(part_matrix)
    solved[free] = linalg.cho_solve(factor, vector[free])
    covariance[np.ix_(free, free)] = linalg.cho_solve(factor, np.eye(len(part_matrix)))
    moved = [
        placed.moved(solved[own_unknowns(state, number)]).bounded(prior.lower, prior.upper)
        for number, placed in enumerate(state.captures)
    ]
    return replace(state, identity=state.identity + solved[shared], captures=tuple(moved)), covariance


def own_unknowns(state: PersonState, capture: int) -> slice:
    """Where pose and expression of a capture are among all unknowns."""
    own = POSE + len(state.captures[0].expression)
    begin = len(state.identity) + own * capture
    return slice(begin, begin + own)


def _columns(capture: int, identities: int, own: int) -> np.ndarray:
    """Where the unknowns of a capture's equations (pose, identity, expression) are among all."""
    begin = identities + own * capture
    return np.concatenate(
        [np.arange(begin, begin + POSE), np.arange(identities), np.arange(begin + POSE, begin + own)]
    )
