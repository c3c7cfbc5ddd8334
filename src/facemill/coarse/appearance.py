"""Lighting and albedo in closed form for a geometry that is given."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from facemill.coarse.losses.photometric import pixel_confidence
from facemill.coarse.settings import CoarseWeights
from facemill.geometry.normal_equations import solve_positive_definite
from facemill.rendering.lighting import AMBIENT, harmonics_basis

LEAST_RESIDUAL = 0.02  # colour distance below which a pixel counts no more than it would at this distance
FIRST_RESIDUAL = 0.1  # colour distance that the first round expects everywhere
# Which share of the brightness is skin, no pixel tells: light is held to be near the ambient one.
LIGHTING_RIDGE = 5e-3
HOLDING = 1e6  # per squared standard deviation: more than any photo can say


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
    """Lighting and albedo together, by reweighted Gauss-Newton steps on the hybrid loss.

    The rendered colour is a product of both, so that solving for one at a time creeps along the valley of
    equal products; a joint step does not. |r| is replaced by r^2 / (2 |r of the round before|), times the
    pixel's confidence. What the pixels cannot tell (bright skin in dim light or the reverse) the priors
    decide: the terms of the hybrid loss, and a pull of the lighting towards the ambient one.

    Args:
        albedo_mean: (S, 3) and albedo_basis: (A, S, 3): the model on its skin vertices, for the reflectance
            term.
    """

    def __init__(
        self, albedo_mean: Tensor, albedo_basis: Tensor, weights: CoarseWeights, outlier_scale: float
    ) -> None:
        self.weights = weights
        self.outlier_scale = outlier_scale
        mean, basis = albedo_mean.double(), albedo_basis.double()
        count = len(mean)
        if count:
            mean, basis = mean - mean.mean(0), basis - basis.mean(1, keepdim=True)
        self.flatness = basis.flatten(1) @ basis.flatten(1).T / max(count, 1)
        self.flatness_pull = basis.flatten(1) @ mean.flatten() / max(count, 1)

    def with_known_albedo(self) -> AppearanceSolver:
        """The same solver for an albedo that is known: its prior holds it, only the lighting is sought."""
        held = copy(self)
        held.weights = self.weights.model_copy(update={"albedo": HOLDING})
        return held

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
        unknowns = torch.cat((lighting.double(), albedo.double()))
        precision, pull = self._prior(albedo.double())
        shares = attention / attention.sum().clamp(min=1)
        weights = shares * samples.centrality.double() * (self.weights.photometric / (2 * FIRST_RESIDUAL))
        for _ in range(rounds):
            colors = mean + basis @ unknowns[27:]
            shading = harmonics @ _with_ambient(unknowns[:27]).T
            by_lighting = torch.diag_embed(colors)[..., None] * harmonics[:, None, None, :]
            rows = torch.cat((by_lighting.flatten(2), basis * shading[..., None]), dim=2).flatten(0, 1)
            weighted = rows * weights.repeat_interleave(3)[:, None]
            residual = (photo - colors * shading).flatten()
            step = solve_positive_definite(
                weighted.T @ rows + precision, weighted.T @ residual + pull - precision @ unknowns
            )
            unknowns = unknowns + step
            rendered = (mean + basis @ unknowns[27:]) * (harmonics @ _with_ambient(unknowns[:27]).T)
            confidence = pixel_confidence(rendered[None], photo[None], attention[None], self.outlier_scale)[0]
            distance = (photo - rendered).norm(dim=1).clamp(min=LEAST_RESIDUAL)
            weights = shares * confidence * self.weights.photometric / (2 * distance)
        return unknowns[:27], unknowns[27:]

    def _prior(self, centre: Tensor) -> tuple[Tensor, Tensor]:
        """Precision (27 + A, 27 + A) and pull (27 + A,): the priors cost x^T precision x - 2 pull^T x."""
        from_white = torch.eye(3).to(centre) - 1 / 3
        lighting = torch.kron(from_white, torch.eye(9).to(centre)) * self.weights.lighting / 27
        lighting = lighting + LIGHTING_RIDGE * torch.eye(27).to(centre)
        ridge = self.weights.albedo + 1e-9
        albedo = self.weights.reflectance * self.flatness + ridge * torch.eye(len(centre)).to(centre)
        pull = torch.cat(
            (centre.new_zeros(27), ridge * centre - self.weights.reflectance * self.flatness_pull)
        )
        return torch.block_diag(lighting, albedo), pull


def _with_ambient(lighting: Tensor) -> Tensor:
    channels = lighting.reshape(3, 9).clone()
    channels[:, 0] += AMBIENT
    return channels
