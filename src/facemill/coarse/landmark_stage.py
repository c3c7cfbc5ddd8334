"""Pose, identity and expression from landmarks: maximum a posteriori, many faces at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from facemill.coarse.expression_space import ExpressionSpace
from facemill.coarse.losses.landmark import INNER_MOUTH
from facemill.coarse.settings import LandmarkStageSettings
from facemill.faces.decode import mean_face, project_landmarks
from facemill.geometry.camera import Camera, project_camera_points
from facemill.geometry.normal_equations import solve_arrow, solve_positive_definite
from facemill.geometry.rotation import (
    euler_deep3d_from_matrix,
    matrix_from_axis_angle,
    matrix_from_euler_deep3d,
)
from facemill.models.coefficients import Coefficients
from facemill.models.contour import JAW_COUNT, SlidingContour
from facemill.models.morphable import LinearModel, MorphableModel

POSE = 6  # three of an axis-angle increment, three of the translation
LEAST_DAMPING, MOST_DAMPING = 1e-6, 1e6


@dataclass(frozen=True)
class DenseLandmarks:
    """What a network saw of B faces: pixels (B, D, 2) of the 224 crop, deviation (B, D), pixels per axis."""

    pixels: Tensor
    deviation: Tensor


@dataclass(frozen=True)
class PersonStart:
    """Photos that show one person: `faces`, where the fit starts, all with the same identity, and `deviation`
    of the prior of that identity, standard deviations of the model. It counts once, not once per photo."""

    faces: Coefficients
    deviation: float


@dataclass(frozen=True)
class LandmarkFit:
    """Coefficients (albedo and lighting as given) and the confidence (B, 68), 0..1, of each landmark."""

    coefficients: Coefficients
    confidence: Tensor


@dataclass(frozen=True)
class _Seen:
    """pixels (B, P, 2) and noise (B, P) of all points: the 68 landmarks, then the dense ones."""

    pixels: Tensor
    noise: Tensor


@dataclass(frozen=True)
class _State:
    """rotation (B, 3, 3), translation (B, 3), identity (B, K), expression (B, E); energy (B,)."""

    rotation: Tensor
    translation: Tensor
    identity: Tensor
    expression: Tensor
    energy: Tensor

    def where(self, better: Tensor, other: _State) -> _State:
        """This state for the faces where `better` (B,), else the other."""
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in self.__dataclass_fields__}
        return _State(
            **{n: torch.where(better.view(-1, *[1] * (a.ndim - 1)), a, b) for n, (a, b) in pairs.items()}
        )


class LandmarkStage:
    """The landmark stage for one model, prepared once.

    Minimises, by Levenberg-Marquardt in float64,

        sum_i s^2 log(1 + r_i^2/s^2) + |identity - c|^2/d^2 + |expression - c|^2/d^2 + (depth / 100 mm)^2

    over pose, identity and expression: r_i is the distance of landmark i in its standard deviations, s the
    scale at which it counts as an outlier (Cauchy), c where the prior is centred. Jaw landmarks slide
    to the silhouette in every step; dense landmarks are vertices, seen or hidden, and each has a deviation of
    its own. Only the rows of the model that are landmarks or contour candidates are computed with. Faces do
    not mix, unless they are said to be one person's: then the sum of their energies is minimised, and the
    normal equations have the shape of an arrow.

    Args:
        landmark_offsets: (68, 3) mm, from the model's landmarks to the detector's.
        dense_vertices: ids of the vertices that are dense landmarks.
    """

    def __init__(
        self,
        space: ExpressionSpace,
        camera: Camera,
        settings: LandmarkStageSettings,
        landmark_offsets: Tensor | None = None,
        dense_vertices: Sequence[int] = (),
    ) -> None:
        model = space.model
        contour = SlidingContour(model.topology, mean_face(model))
        dense = torch.tensor(dense_vertices, dtype=torch.int64, device=model.device)
        marked = (contour.candidates.reshape(-1), model.topology.landmarks68, dense)
        rows = torch.unique(torch.cat(marked))
        self.dense_rows = torch.searchsorted(rows, dense)
        self.model = model.subset(rows).to(dtype=torch.float64)
        self.contour = SlidingContour(self.model.topology, mean_face(self.model))
        self.camera = camera.to(device=model.device, dtype=torch.float64)
        self.space = space
        self.settings = settings
        noise = torch.full((68,), settings.noise, dtype=torch.float64, device=model.device)
        noise[:JAW_COUNT] = settings.contour_noise
        noise[list(INNER_MOUTH)] = settings.mouth_noise
        self.noise = noise
        nothing = torch.zeros(68, 3, dtype=torch.float64, device=model.device)
        self.offsets = nothing if landmark_offsets is None else landmark_offsets.to(nothing)

    def fit(
        self,
        landmarks: Tensor,
        centre: Coefficients,
        deviation: float,
        pose_first: bool,
        dense: DenseLandmarks | None = None,
        person: PersonStart | None = None,
    ) -> LandmarkFit:
        """Fit B faces.

        Args:
            landmarks: (B, 68, 2) pixels of the 224 crop.
            centre: where the prior is centred and the fit starts.
            deviation: standard deviation of the prior around `centre`, standard deviations of the model.
            pose_first: find the pose with the shape of `centre` before the shape may change. A frontal start
                is enough: on renders turned by up to 85 degrees other starts ended in the same place.
            dense: pixels of `dense_vertices`; None fits the 68 landmarks alone.
            person: the photos are of one person, whose identity is one unknown; None: faces do not mix.
        """
        seen = self._seen(landmarks, dense)
        middle = centre.to(dtype=torch.float64)
        start = middle if person is None else person.faces.to(dtype=torch.float64)
        state = self._state(start, matrix_from_euler_deep3d(start.rotation))
        # The prior of a person's identity is a share in each photo's energy, so that it counts once.
        identity_deviation = deviation if person is None else person.deviation * len(start) ** 0.5
        prior = _Prior(
            middle.identity, middle.expression, identity_deviation, deviation * self.space.deviation
        )
        if pose_first:
            state = self._minimise(state, seen, prior, self.settings.pose_iterations, pose_only=True)
        together = person is not None
        state = self._minimise(state, seen, prior, self.settings.iterations, False, together)
        residuals = self._residuals(state, seen)[0][:, :68]
        dtype = centre.identity.dtype
        fitted = replace(
            centre,
            rotation=euler_deep3d_from_matrix(state.rotation).to(dtype),
            translation=state.translation.to(dtype),
            identity=state.identity.to(dtype),
            expression=state.expression.to(dtype),
        )
        return LandmarkFit(fitted, self._confidence(residuals).to(dtype))

    def _seen(self, landmarks: Tensor, dense: DenseLandmarks | None) -> _Seen:
        pixels = landmarks.to(self.noise)
        noise = self.noise.expand(len(pixels), -1)
        if dense is None:
            return _Seen(pixels, noise)
        # Errors of neighbours go together: D landmarks tell no more than `dense_points` independent ones.
        shared = max(1.0, dense.deviation.shape[1] / self.settings.dense_points) ** 0.5
        return _Seen(
            torch.cat((pixels, dense.pixels.to(pixels)), dim=1),
            torch.cat((self.settings.beside_dense * noise, shared * dense.deviation.to(pixels)), dim=1),
        )

    def _state(self, start: Coefficients, rotation: Tensor) -> _State:
        unknown = start.identity.new_full((len(start),), torch.inf)
        return _State(rotation, start.translation, start.identity, start.expression, unknown)

    def _minimise(
        self,
        state: _State,
        seen: _Seen,
        prior: _Prior,
        iterations: int,
        pose_only: bool,
        together: bool = False,
    ) -> _State:
        """Levenberg-Marquardt; `together`: the faces share their identity and take or refuse steps as one."""
        damping = torch.full_like(state.energy, 1e-3)
        state = replace(state, energy=self._energy(state, seen, prior, together))
        for _ in range(iterations):
            hessian, gradient = self._normal_equations(state, seen, prior)
            if pose_only:
                hessian, gradient = hessian[:, :POSE, :POSE], gradient[:, :POSE]
            else:
                hessian, gradient = self._without_bound(state, hessian, gradient)
            diagonal = hessian.diagonal(dim1=1, dim2=2)
            damped = hessian + torch.diag_embed(damping[:, None] * diagonal + 1e-9)
            if together:
                step = -solve_arrow(damped, gradient, slice(POSE, POSE + state.identity.shape[1]))
            else:
                step = -solve_positive_definite(damped, gradient)  # NaN is a step that is refused
            moved = self._moved(state, step)
            moved = replace(moved, expression=moved.expression.clamp(self.space.lower, self.space.upper))
            moved = replace(moved, energy=self._energy(moved, seen, prior, together))
            better = moved.energy < state.energy
            state = moved.where(better, state)
            damping = torch.where(better, damping / 3, damping * 4).clamp(LEAST_DAMPING, MOST_DAMPING)
        return state

    def _without_bound(self, state: _State, hessian: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """The equations without the expression unknowns that press against a bound (Bertsekas 1982)."""
        x = state.expression
        pull = gradient[:, -x.shape[1] :]
        held = ((x <= self.space.lower) & (pull > 0)) | ((x >= self.space.upper) & (pull < 0))
        free = torch.ones_like(gradient)
        free[:, -x.shape[1] :] = (~held).to(free.dtype)
        return hessian * free[:, :, None] * free[:, None, :] + torch.diag_embed(1 - free), gradient * free

    def _moved(self, state: _State, step: Tensor) -> _State:
        moved = replace(
            state,
            rotation=matrix_from_axis_angle(step[:, :3]) @ state.rotation,
            translation=state.translation + step[:, 3:POSE],
        )
        if step.shape[1] == POSE:
            return moved
        identity, expression = step[:, POSE:].split(
            (state.identity.shape[1], state.expression.shape[1]), dim=1
        )
        return replace(moved, identity=state.identity + identity, expression=state.expression + expression)

    def _residuals(self, state: _State, seen: _Seen) -> tuple[Tensor, Tensor, Tensor]:
        """Residuals (B, P, 2) in standard deviations, posed points (B, P, 3) and their rows (B, P)."""
        shape = self.model.shape(state.identity, state.expression)
        posed = shape @ state.rotation.mT + state.translation[:, None]
        roll = torch.atan2(state.rotation[:, 1, 0], state.rotation[:, 0, 0])
        vertices = self.camera.points_in_camera(posed)
        topology = self.model.topology
        offsets = self.offsets @ state.rotation.mT
        pixels, rows = project_landmarks(
            vertices,
            roll,
            self.contour,
            topology.landmarks68,
            self.camera.intrinsics,
            offsets @ self.camera.rotation.mT,
        )
        points = _rows_of(posed, rows) + offsets
        if seen.pixels.shape[1] > pixels.shape[1]:
            dense = project_camera_points(vertices[:, self.dense_rows], self.camera.intrinsics).pixels
            pixels = torch.cat((pixels, dense), dim=1)
            points = torch.cat((points, posed[:, self.dense_rows]), dim=1)
            rows = torch.cat((rows, self.dense_rows.expand(len(rows), -1)), dim=1)
        return (pixels - seen.pixels) / seen.noise[..., None], points, rows

    def _energy(self, state: _State, seen: _Seen, prior: _Prior, together: bool = False) -> Tensor:
        scale = self.settings.outlier_scale**2
        squared = self._residuals(state, seen)[0].square().sum(-1)
        data = scale * torch.log1p(squared / scale).sum(-1)
        total = (
            data + prior.energy(state) + (state.translation[:, 2] / self.settings.depth_deviation).square()
        )
        total = torch.where(torch.isnan(total), torch.inf, total)  # a point behind the camera is no solution
        return total.sum().expand_as(total) if together else total

    def _confidence(self, residuals: Tensor) -> Tensor:
        return 1 / (1 + residuals.square().sum(-1) / self.settings.outlier_scale**2)

    def _normal_equations(self, state: _State, seen: _Seen, prior: _Prior) -> tuple[Tensor, Tensor]:
        """Gauss-Newton matrix (B, P, P) and gradient (B, P) of half the energy, landmarks reweighted."""
        residuals, posed, rows = self._residuals(state, seen)
        offset = posed - state.translation[:, None]
        zero = torch.zeros_like(offset[..., 0])
        x, y, z = offset.unbind(-1)
        turning = torch.stack((zero, z, -y, -z, zero, x, y, -x, zero), -1).unflatten(-1, (3, 3))  # -[offset]x
        moving = torch.eye(3, dtype=posed.dtype, device=posed.device).expand(*turning.shape)
        basis = _shape_jacobian(self.model, state.identity, state.expression, rows)
        shaping = state.rotation[:, None] @ basis
        jacobian = self._pixel_jacobian(posed) @ torch.cat((turning, moving, shaping), dim=-1)
        weight = (self._confidence(residuals) / seen.noise.square())[..., None, None]
        flat = jacobian.flatten(1, 2)
        weighted = (jacobian * weight).flatten(1, 2)
        hessian = weighted.mT @ flat
        gradient = (weighted.mT @ (residuals * seen.noise[..., None]).flatten(1)[..., None])[..., 0]
        precision, pull = prior.normal_equations(state, POSE)
        depth = 1 / self.settings.depth_deviation**2
        precision[:, 5] += depth
        pull[:, 5] += depth * state.translation[:, 2]
        return hessian + torch.diag_embed(precision), gradient + pull

    def _pixel_jacobian(self, posed: Tensor) -> Tensor:
        """(B, P, 2, 3): how pixels move with points of the posed head frame."""
        points = self.camera.points_in_camera(posed)
        intrinsics = self.camera.intrinsics
        depth = points[..., 2]
        pixels = project_camera_points(points, intrinsics).pixels - intrinsics[:2, 2]
        in_camera = torch.cat(
            (
                (intrinsics[:2, :2] / depth[..., None, None]),
                -(pixels / depth[..., None])[..., None],
            ),
            dim=-1,
        )
        return in_camera @ self.camera.rotation


@dataclass(frozen=True)
class _Prior:
    """Normal priors of identity and expression around the centre given."""

    identity: Tensor
    expression: Tensor
    identity_deviation: float
    expression_deviation: float

    def energy(self, state: _State) -> Tensor:
        identity = (state.identity - self.identity) / self.identity_deviation
        expression = (state.expression - self.expression) / self.expression_deviation
        return identity.square().sum(-1) + expression.square().sum(-1)

    def normal_equations(self, state: _State, before: int) -> tuple[Tensor, Tensor]:
        """Diagonal of the precision and gradient of half the energy, (B, before + K + E) each."""
        nothing = state.identity.new_zeros(len(state.identity), before)
        identity = torch.full_like(state.identity, self.identity_deviation**-2)
        expression = torch.full_like(state.expression, self.expression_deviation**-2)
        pull = (
            identity * (state.identity - self.identity),
            expression * (state.expression - self.expression),
        )
        return torch.cat((nothing, identity, expression), dim=1), torch.cat((nothing, *pull), dim=1)


def _shape_jacobian(model: MorphableModel, identity: Tensor, expression: Tensor, rows: Tensor) -> Tensor:
    """(B, N, 3, K + E): how the vertices `rows` (B, N) move with identity and expression."""
    if isinstance(model, LinearModel):
        basis = torch.cat((model.identity_basis, model.expression_basis)).permute(1, 2, 0)
        return basis[rows]
    # Every model here is affine in identity for a fixed expression and the other way round, so that a
    # difference of one standard deviation is the exact derivative.
    base = model.shape(identity, expression)
    columns = []
    for index in range(model.identity_count):
        shifted = model.shape(identity + _unit(index, identity), expression)
        columns.append(_rows_of(shifted - base, rows))
    for index in range(model.expression_count):
        shifted = model.shape(identity, expression + _unit(index, expression))
        columns.append(_rows_of(shifted - base, rows))
    return torch.stack(columns, dim=-1)


def _unit(index: int, like: Tensor) -> Tensor:
    unit = like.new_zeros(1, like.shape[1])
    unit[0, index] = 1
    return unit


def _rows_of(values: Tensor, rows: Tensor) -> Tensor:
    return torch.gather(values, 1, rows[..., None].expand(-1, -1, values.shape[-1]))
