"""Losses where the truth is known: shape, expression and pose of synthetic faces."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from facemill.geometry.normal_equations import solve_positive_definite
from facemill.geometry.rotation import matrix_from_euler_deep3d

TANGENTIAL = 0.1  # weight of squared errors along the surface, of which a scan and a photo tell little
DEPTH = 0.01  # weight of a squared error of the distance to the camera, with which a crop hardly changes


@dataclass(frozen=True)
class ShapeForm:
    """The error of a neutral shape as a quadratic form of the K identity coefficients.

    For a true shape t (R, 3) of the scored vertices, the error of coefficients z is

        min over a of  sum_r s_r [ (n_r . e_r)^2 + 0.1 |e_r - (n_r . e_r) n_r|^2 ],  e = m + B z - t - T a,

    mm^2: errors along the normals n of the mean m count fully, those along the surface a tenth, s_r is a
    vertex' share of the area, and what a small similarity (T: three shifts, three turns, one scaling of the
    mean) explains does not count, because a single photo does not tell size and the protocols align before
    they measure. With z* the best coefficients it equals (z - z*)^T gram (z - z*) + floor.

    Attributes:
        gram: (K, K).
        pull: (3 R, K): a true shape minus the mean, flattened, times this = gram z*.
        explained: (3 R, 7): the squares of a shape's products with it are what a similarity explains.
        normals, mean: (R, 3); shares: (R,).
    """

    gram: Tensor
    pull: Tensor
    explained: Tensor
    normals: Tensor
    mean: Tensor
    shares: Tensor

    def targets(self, shapes: Tensor, ridge: float = 0.0) -> tuple[Tensor, Tensor]:
        """Best coefficients z* (B, K) and the error that they leave (B,), mm^2, of shapes (B, R, 3).

        Args:
            ridge: added to the diagonal of `gram`: mm^2 per squared standard deviation that coefficients
                must be worth. Without it, directions that look like a similarity go anywhere.
        """
        offsets = shapes.to(self.mean) - self.mean
        pulled = offsets.flatten(1) @ self.pull
        system = self.gram + ridge * torch.eye(len(self.gram)).to(self.gram)
        best = solve_positive_definite(system.expand(len(shapes), -1, -1), pulled)
        whole = (weighted(offsets, self.normals, self.shares) * offsets).sum((1, 2))
        whole = whole - (offsets.flatten(1) @ self.explained).square().sum(1)
        left = whole - 2 * (best * pulled).sum(1) + ((best @ self.gram) * best).sum(1)
        return best, left.clamp(min=0)


def shape_form(mean: Tensor, normals: Tensor, basis: Tensor, areas: Tensor | None = None) -> ShapeForm:
    """Prepare the form, float64.

    Args:
        mean: (R, 3) scored vertices of the mean face, millimetres; normals: (R, 3) its unit normals.
        basis: (K, R, 3) times the standard deviations.
        areas: (R,) of the surface that each vertex stands for; None: equal.
    """
    mean, normals, basis = mean.double(), normals.double(), basis.double()
    areas = torch.ones_like(mean[:, 0]) if areas is None else areas.double()
    shares = areas / areas.sum()
    moves = similarity_moves(mean)
    weighted_moves = weighted(moves, normals, shares).flatten(1)
    inverse = torch.linalg.inv(weighted_moves @ moves.flatten(1).T)
    explained = weighted_moves.T @ torch.linalg.cholesky((inverse + inverse.T) / 2)
    flat = basis.flatten(1)
    pull = weighted(basis, normals, shares).flatten(1).T - explained @ (flat @ explained).T
    gram = flat @ pull
    return ShapeForm((gram + gram.T) / 2, pull, explained, normals, mean, shares)


def weighted(fields: Tensor, normals: Tensor, shares: Tensor) -> Tensor:
    """Fields (N, R, 3) with what is along the surface reduced to a tenth, times the shares (R,)."""
    along = torch.einsum("nrc,rc->nr", fields, normals) * (shares * (1 - TANGENTIAL))
    return torch.addcmul(fields * (shares * TANGENTIAL)[:, None], along[..., None], normals)


def similarity_moves(points: Tensor) -> Tensor:
    """(7, R, 3): how points (R, 3) move in three shifts, three turns about their mean and one scaling."""
    centred = points - points.mean(0)
    axes = torch.eye(3, dtype=points.dtype, device=points.device)
    shifts = axes[:, None].expand(3, len(points), 3)
    turns = torch.linalg.cross(axes[:, None].expand(3, len(points), 3), centred.expand(3, -1, -1))
    return torch.cat((shifts, turns / centred.norm(dim=1).mean(), centred[None] / centred.norm(dim=1).mean()))


def shape_distance(identity: Tensor, best: Tensor, floor: Tensor, gram: Tensor) -> Tensor:
    """Error of coefficients (B, K) against targets of a `ShapeForm`, (B,), mm^2."""
    offset = identity - best
    return ((offset @ gram) * offset).sum(1) + floor


def strength_distance(predicted: Tensor, true: Tensor) -> Tensor:
    """Sum of squared errors of blendshape strengths (B, S), (B,)."""
    return (predicted - true).square().sum(1)


def rotation_distance(predicted: Tensor, true: Tensor) -> Tensor:
    """Squared angle, rad^2, between rotations given by Deep3D's angles (B, 3), (B,).

    |R - R'|^2 / 2 = 2 - 2 cos(angle): the squared angle when it is small, smooth everywhere.
    """
    difference = matrix_from_euler_deep3d(predicted) - matrix_from_euler_deep3d(true)
    return difference.square().sum((1, 2)) / 2


def dense_landmark_surprise(pixels: Tensor, deviation: Tensor, true: Tensor) -> Tensor:
    """Mean over N landmarks of |pixels - true|^2 / (2 s^2) + 2 log s, (B,): Gaussian in two axes.

    The negative log-likelihood of Wood et al. 2022, without its constant: a network that errs by s pixels per
    axis does best to say s, and a landmark that cannot be seen costs little when it is called uncertain.

    Args:
        pixels, true: (B, N, 2); deviation: (B, N), s in pixels.
    """
    squared = (pixels - true).square().sum(-1)
    return (squared / (2 * deviation.square()) + 2 * deviation.log()).mean(1)


def translation_distance(predicted: Tensor, true: Tensor) -> Tensor:
    """dx^2 + dy^2 + 0.01 dz^2 of translations (B, 3), (B,), mm^2."""
    squared = (predicted - true).square()
    return squared[:, 0] + squared[:, 1] + DEPTH * squared[:, 2]
