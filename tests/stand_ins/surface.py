"""Faces for stand-ins of licensed models: the embedded head, sampled anew at directions from its middle."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.spatial import cKDTree

from facemill.models.head import load_head
from facemill.models.morphable import LinearModel

ROOT = Path(__file__).resolve().parents[2]
CENTRE = np.array([0.0, 0.0, -70.0])
DEPTH = 6.0  # mm below the outermost vertex of a direction at which a vertex is still on the outside


@cache
def template() -> LinearModel:
    """The embedded head."""
    return load_head(ROOT / "resources" / "models" / "head.npz")


@dataclass(frozen=True)
class SampledHead:
    """Fields of the embedded head at N directions; millimetres and colours 0..1.

    mean (N, 3), identity (K, N, 3), expression (E, N, 3), albedo_mean (N, 3), albedo_basis (A, N, 3),
    regions name -> (N,) bool, blendshapes (S, E).
    """

    mean: NDArray
    identity: NDArray
    expression: NDArray
    albedo_mean: NDArray
    albedo_basis: NDArray
    regions: dict[str, NDArray]


def landmark_directions() -> NDArray:
    """(68, 3) unit vectors from the middle of the head to its landmarks."""
    return _unit(template().mean_shape[template().topology.landmarks68].numpy() - CENTRE)


def sample(
    directions: NDArray, landmark_rows: NDArray, identities: int = 30, colours: int = 12
) -> SampledHead:
    """The head's outside at `directions` (N, 3), and exactly at its landmarks in `landmark_rows` (68,)."""
    head = template()
    mean = head.mean_shape.double().numpy()
    outer = _outside(mean)
    distance, near = cKDTree(_unit(mean[outer] - CENTRE)).query(directions, k=3)
    near, shares = outer[near], 1 / np.maximum(distance, 1e-4)
    near[landmark_rows] = head.topology.landmarks68.numpy()[:, None]
    rows = np.repeat(np.arange(len(directions)), 3)
    weights = sparse.csr_matrix(
        ((shares / shares.sum(axis=1, keepdims=True)).ravel(), (rows, near.ravel())),
        shape=(len(directions), len(mean)),
    )

    def at(field: NDArray) -> NDArray:
        moved = weights @ np.moveaxis(field, 0, 1).reshape(len(mean), -1)
        return np.moveaxis(moved.reshape(len(directions), -1, 3), 1, 0).astype(np.float32)

    return SampledHead(
        at(mean[None])[0],
        at(head.identity_basis[:identities].numpy()),
        at(head.expression_basis.numpy()),
        at(head.albedo_mean.numpy()[None])[0],
        at(head.albedo_basis[:colours].numpy()),
        {name: weights @ region.numpy() > 0.5 for name, region in head.topology.regions.items()},
    )


def spread_in_disc(count: int) -> NDArray:
    """(count, 2) points spread evenly over the unit disc (Vogel's spiral)."""
    number = np.arange(count) + 0.5
    angle = number * np.pi * (3 - np.sqrt(5))
    return np.sqrt(number / count)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _outside(mean: NDArray) -> NDArray:
    """Vertices that can be seen from outside, each in its direction."""
    offsets = mean - CENTRE
    radius = np.linalg.norm(offsets, axis=1)
    directions = offsets / radius[:, None]
    tree = cKDTree(directions)
    near = tree.query_ball_point(directions, 0.03)
    highest = np.array([radius[neighbours].max() for neighbours in near])
    return np.flatnonzero(radius > highest - DEPTH)


def _unit(vectors: NDArray) -> NDArray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
