"""Principal components of sampled people, shapes or colours, symmetric by construction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh


@dataclass(frozen=True)
class SymmetricBasis:
    """Attributes:
    mean: (N, 3), exactly symmetric.
    basis: (K, N, 3) components times their standard deviations, largest first; each is either symmetric or
        antisymmetric.
    variance: every variance found, largest first, weighted.
    """

    mean: NDArray[np.float64]
    basis: NDArray[np.float32]
    variance: NDArray[np.float64]


def aligned_rigidly(shapes: NDArray, rows: NDArray, rounds: int = 3) -> NDArray[np.float64]:
    """Turn and shift (N, V, 3) shapes onto their mean, by the vertices `rows`; size stays (Kabsch 1976)."""
    aligned = shapes - shapes[:, rows].mean(axis=1, keepdims=True)
    for _ in range(rounds):
        reference = aligned[:, rows].mean(axis=0)
        aligned = aligned - aligned[:, rows].mean(axis=1, keepdims=True)
        left, _, right = np.linalg.svd(
            np.swapaxes(aligned[:, rows], 1, 2) @ (reference - reference.mean(axis=0))
        )
        left[:, :, 2] *= np.sign(np.linalg.det(left @ right))[:, None]
        aligned = aligned @ (left @ right)
    return aligned


def symmetric_components(
    shapes: NDArray,
    mirror: NDArray,
    weights: NDArray,
    count: int,
    flip: tuple[float, float, float] = (-1.0, 1.0, 1.0),
) -> SymmetricBasis:
    """PCA of the shapes together with their mirror images.

    Over that doubled sample the symmetric and the antisymmetric part of a shape are uncorrelated, so each is
    decomposed by itself and the components are merged by variance.

    Args:
        shapes: (S, N, 3) aligned shapes or colours.
        mirror: (N,) the vertex on the other side.
        weights: (N,) how much each vertex counts in choosing the components.
        count: K.
        flip: what mirroring does to the three values of a vertex; (1, 1, 1) for colours.
    """
    flipped = shapes[:, mirror] * np.array(flip, dtype=shapes.dtype)
    mean = 0.5 * (shapes + flipped).mean(axis=0)
    found = []
    for sign in (1.0, -1.0):
        part = 0.5 * (shapes + sign * flipped)
        if sign > 0:
            part = part - mean
        flat = part.reshape(len(shapes), -1)
        scaled = flat * np.sqrt(np.repeat(weights, 3))
        gram = scaled @ scaled.T / len(shapes)
        top = min(count, len(shapes) - 1)
        values, vectors = eigh(gram, subset_by_index=(len(gram) - top, len(gram) - 1))
        found += [(value, vector, flat) for value, vector in zip(values, vectors.T, strict=True)]
    found.sort(key=lambda item: -item[0])
    basis = np.stack([vector @ flat / np.sqrt(len(shapes)) for _, vector, flat in found[:count]])
    return SymmetricBasis(
        mean, basis.reshape(-1, *mean.shape).astype(np.float32), np.array([value for value, _, _ in found])
    )
