"""Similarities (scale, rotation, shift) of the plane and of space and their least-squares fit; float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Similarity:
    """p -> scale * rotation @ p + translation, in D = 2 or 3 dimensions.

    scale: positive; rotation: (D, D), determinant +1; translation: (D,).
    """

    scale: float
    rotation: FloatArray
    translation: FloatArray

    def apply(self, points: ArrayLike) -> FloatArray:
        """(..., D) -> (..., D)."""
        return self.scale * (np.asarray(points, dtype=np.float64) @ self.rotation.T) + self.translation

    def inverse(self) -> Similarity:
        """The similarity that undoes this one."""
        back = self.rotation.T
        return Similarity(1 / self.scale, back, -(back @ self.translation) / self.scale)

    @property
    def matrix(self) -> FloatArray:
        """(D + 1, D + 1), for homogeneous column vectors."""
        size = len(self.translation)
        matrix = np.eye(size + 1)
        matrix[:size, :size] = self.scale * self.rotation
        matrix[:size, size] = self.translation
        return matrix


def fit_similarity(
    source: ArrayLike, target: ArrayLike, weights: ArrayLike | None = None, with_scale: bool = True
) -> Similarity:
    """The similarity that takes `source` to `target` with the least weighted sum of squares (Umeyama 1991).

    Args:
        source, target: (N, D) points in correspondence, D = 2 or 3.
        weights: (N,), not negative; points of weight 0 are not looked at, not even for NaN. None = all 1.
        with_scale: False keeps the scale at 1.
    Returns:
        Similarity with a proper rotation, even where a mirror image would fit better.
    Raises:
        ValueError: shapes do not agree, a number is not finite, a weight is negative, or the points with
            weight lie in one place (in space: on one line), so that no rotation is determined.

    >>> found = fit_similarity([[0, 0], [1, 0], [0, 2]], [[5, 5], [5, 7], [1, 5]])
    >>> round(found.scale, 12), found.apply([1, 1]).round(12).tolist()
    (2.0, [3.0, 7.0])
    """
    source_points, target_points, shares = _checked(source, target, weights)
    source_mean, target_mean = shares @ source_points, shares @ target_points
    source_offsets, target_offsets = source_points - source_mean, target_points - target_mean
    covariance = (target_offsets * shares[:, None]).T @ source_offsets
    source_variance = float(shares @ (source_offsets**2).sum(1))
    target_variance = float(shares @ (target_offsets**2).sum(1))
    left, strength, right = np.linalg.svd(covariance)
    dimension = len(source_mean)
    # Coordinates of magnitude m carry rounding errors of about 1e-16 m, so spreads below that mean nothing.
    noise = 1e-14 * (np.abs(source_points).max() * np.abs(target_points).max())
    if strength[dimension - 2] <= max(1e-10 * np.sqrt(source_variance * target_variance), noise):
        raise ValueError(
            f"fit_similarity: the {len(source_points)} points with weight determine no rotation: they lie "
            f"{'in one place' if dimension == 2 else 'on one line'} (rms spread of source "
            f"{np.sqrt(source_variance):.3g}, of target {np.sqrt(target_variance):.3g})"
        )
    signs = np.ones(dimension)
    signs[-1] = np.sign(np.linalg.det(left) * np.linalg.det(right))
    rotation = (left * signs) @ right
    scale = float((strength * signs).sum() / source_variance) if with_scale else 1.0
    return Similarity(scale, rotation, target_mean - scale * (rotation @ source_mean))


def _checked(
    source: ArrayLike, target: ArrayLike, weights: ArrayLike | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    first, second = np.asarray(source, dtype=np.float64), np.asarray(target, dtype=np.float64)
    if first.ndim != 2 or first.shape[1] not in (2, 3) or first.shape != second.shape:
        raise ValueError(
            "fit_similarity: source and target must both have shape (N, 2) or (N, 3), "
            f"not {first.shape} and {second.shape}"
        )
    shares = np.ones(len(first)) if weights is None else np.asarray(weights, dtype=np.float64)
    if shares.shape != (len(first),) or not (shares >= 0).all() or not np.isfinite(shares).all():
        raise ValueError(f"fit_similarity: weights must be {len(first)} finite numbers >= 0")
    used = shares > 0
    first, second, shares = first[used], second[used], shares[used]
    if len(first) < 2:
        raise ValueError(f"fit_similarity: needs at least 2 points with weight, got {len(first)}")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("fit_similarity: source and target must be finite wherever the weight is not 0")
    return first, second, shares / shares.sum()
