"""Lighting and albedo in closed form for a geometry that is given."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from facemill.coarse.losses.photometric import pixel_confidence
from facemill.coarse.settings import CoarseWeights
from facemill.geometry.normal_equations import solve_positive_definite
from facemill.rendering.lighting import AMBIENT, harmonics_basis

LEAST_RESIDUAL = 0.02  # colour distance below which a pixel counts no more than it would at this distance
FIRST_RESIDUAL = 0.1  # colour distance that the first round expects everywhere
LIGHTING_RIDGE = (
    1e-2  # prior towards the ambient light: which share of the brightness is skin, no pixel tells
)


@dataclass(frozen=True)
class AppearanceSamples:
    """P pixels of one face.

    Attributes:
        photo: (P, 3) colours.
        attention: (P,) skin probability.
        centrality: (P,) weight of the first round, 0..1: how surely a pixel of the face's middle.
        normals: (P, 3) unit, posed head frame.
        albedo_mean: (P, 3) the model's mean albedo there.
        albedo_basis: (P, 3, A).
    """

    photo: Tensor
    attention: Tensor
    centrality: Tensor
    normals: Tensor
    albedo_mean: Tensor
    albedo_basis: Tensor


class AppearanceSolver:
    """Alternates two linear least-squares problems, reweighted towards the photometric distance.

    Lighting for a fixed albedo, albedo for a fixed lighting: each minimises the terms of the hybrid loss that
    it enters, with |r| replaced by r^2 / (2 |r of the round before|), one system of 27 and one of A unknowns.

    Args:
        albedo_mean: (S, 3) and albedo_basis: (A, S, 3): the model on its skin vertices, for the reflectance
            term.
    """

    def __init__(
        self, albedo_mean: Tensor, albedo_basis: Tensor, weights: CoarseWeights, outlier_scale: float
    ) -> None:
        self.weights = weights
        self.outlier_scale = outlier_scale
        count = max(len(albedo_mean), 1)
        mean = (
            (albedo_mean - albedo_mean.mean(0)).double().flatten()
            if len(albedo_mean)
            else albedo_mean.double().flatten()
        )
        basis = albedo_basis.double()
        centred = (basis - basis.mean(1, keepdim=True)).flatten(1) if len(albedo_mean) else basis.flatten(1)
        self.flatness = centred @ centred.T / count
        self.flatness_pull = centred @ mean / count

    def solve(
        self, samples: AppearanceSamples, lighting: Tensor, albedo: Tensor, rounds: int
    ) -> tuple[Tensor, Tensor]:
        """Lighting (27,) and albedo coefficients (A,) of one face, float64.

        Args:
            lighting, albedo: where the rounds start; the albedo prior is centred at `albedo`.
        """
        photo, attention = samples.photo.double(), samples.attention.double()
        basis, mean = samples.albedo_basis.double(), samples.albedo_mean.double()
        harmonics = harmonics_basis(samples.normals.double())
        lighting, albedo = lighting.double(), albedo.double()
        centre = albedo
        shares = attention / attention.sum().clamp(min=1)
        weights = shares * samples.centrality.double() * (self.weights.photometric / (2 * FIRST_RESIDUAL))
        for _ in range(rounds):
            lighting = self._lighting(photo, mean + basis @ albedo, harmonics, weights)
            shading = harmonics @ _with_ambient(lighting).T
            albedo = self._albedo(photo, mean, basis, shading, weights, centre)
            rendered = (mean + basis @ albedo) * shading
            confidence = pixel_confidence(rendered[None], photo[None], attention[None], self.outlier_scale)[0]
            residual = (photo - rendered).norm(dim=1).clamp(min=LEAST_RESIDUAL)
            weights = shares * confidence * self.weights.photometric / (2 * residual)
        return lighting, albedo

    def _lighting(self, photo: Tensor, albedo: Tensor, harmonics: Tensor, weights: Tensor) -> Tensor:
        matrix = photo.new_zeros(3, 9, 3, 9)
        pull = photo.new_zeros(3, 9)
        for channel in range(3):
            rows = albedo[:, channel : channel + 1] * harmonics
            matrix[channel, :, channel] = rows.T @ (rows * weights[:, None])
            pull[channel] = rows.T @ (weights * (photo[:, channel] - AMBIENT * rows[:, 0]))
        eye = torch.eye(9, dtype=photo.dtype, device=photo.device)
        from_white = torch.eye(3, dtype=photo.dtype, device=photo.device) - 1 / 3
        matrix = matrix + self.weights.lighting / 27 * torch.einsum("ab,ij->aibj", from_white, eye)
        system = matrix.reshape(27, 27)
        system = system + LIGHTING_RIDGE * torch.eye(27, dtype=photo.dtype, device=photo.device)
        return solve_positive_definite(system, pull.reshape(27))

    def _albedo(
        self, photo: Tensor, mean: Tensor, basis: Tensor, shading: Tensor, weights: Tensor, centre: Tensor
    ) -> Tensor:
        rows = (basis * shading[..., None]).flatten(0, 1)
        repeated = weights.repeat_interleave(3)
        matrix = rows.T @ (rows * repeated[:, None])
        pull = rows.T @ (repeated * (photo - mean * shading).flatten())
        prior = self.weights.albedo + 1e-9
        matrix = matrix + self.weights.reflectance * self.flatness
        matrix = matrix + prior * torch.eye(len(matrix), dtype=photo.dtype, device=photo.device)
        return solve_positive_definite(
            matrix, pull - self.weights.reflectance * self.flatness_pull + prior * centre
        )


def _with_ambient(lighting: Tensor) -> Tensor:
    channels = lighting.reshape(3, 9).clone()
    channels[:, 0] += AMBIENT
    return channels
