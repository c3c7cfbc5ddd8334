"""From a coarse level of texels to a finer one, without letting outliers through."""

from __future__ import annotations

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray

from facemill.geometry.infill import push_pull

FEWEST = 0.25  # sum of confidences in a neighbourhood, below which it says nothing of its middle


def thinned(values: NDArray, stride: int) -> NDArray:
    """Every `stride`-th texel of a map (H, W, ...), the first in the middle of its block.

    >>> thinned(np.arange(8), 4)
    array([2, 6])
    """
    first = stride // 2
    if values.ndim == 1:
        return values[first::stride]
    return values[first::stride, first::stride]


def spread(values: NDArray[np.floating], stride: int, shape: tuple[int, int]) -> NDArray[np.float32]:
    """The inverse of `thinned` for a map (h, w): bilinear at all texels of `shape`; beyond the outermost
    ones the border repeats.

    >>> spread(np.array([[1.0, 5.0]]), 4, (1, 8))
    array([[1., 1., 1., 2., 3., 4., 5., 5.]], dtype=float32)
    """
    rows, columns = (
        np.clip((np.arange(full) - stride // 2) / stride, 0, small - 1)
        for full, small in zip(shape, values.shape, strict=True)
    )
    upper, left = rows.astype(int), columns.astype(int)
    lower, right = (
        np.minimum(first + 1, count - 1) for first, count in zip((upper, left), values.shape, strict=True)
    )
    down, across = (rows - upper)[:, None], columns - left
    above = values[upper][:, left] * (1 - across) + values[upper][:, right] * across
    below = values[lower][:, left] * (1 - across) + values[lower][:, right] * across
    return (above * (1 - down) + below * down).astype(np.float32)


@njit(cache=True, nogil=True)
def _medians(
    values: NDArray, weights: NDArray, mask: NDArray, radius: int, fewest: float, found: NDArray
) -> None:
    height, width = values.shape
    side = 2 * radius + 1
    near = np.empty(side * side)
    near_weights = np.empty(side * side)
    for row in range(height):
        for column in range(width):
            found[row, column] = np.nan
            if not mask[row, column]:
                continue
            count, total = 0, 0.0
            for r in range(max(0, row - radius), min(height, row + radius + 1)):
                for c in range(max(0, column - radius), min(width, column + radius + 1)):
                    if weights[r, c] > 0.0:
                        near[count] = values[r, c]
                        near_weights[count] = weights[r, c]
                        total += weights[r, c]
                        count += 1
            if count == 0 or total < fewest:
                continue
            order = np.argsort(near[:count])
            passed = 0.0
            for k in range(count):
                passed += near_weights[order[k]]
                if passed >= 0.5 * total:
                    found[row, column] = near[order[k]]
                    break


def median_filtered(
    displacement: NDArray[np.floating],
    confidence: NDArray[np.floating],
    mask: NDArray[np.bool_],
    radius: int = 2,
    fewest: float = FEWEST,
) -> NDArray[np.float32]:
    """(H, W) the median of the square of (2 radius + 1)² texels around each texel of the mask, weighted by
    confidence; NaN where the confidences of its square add up to less than `fewest`, and outside the mask."""
    usable = mask & np.isfinite(displacement) & (confidence > 0)
    found = np.empty(mask.shape)
    _medians(
        np.where(usable, displacement, 0).astype(np.float64),
        np.where(usable, confidence, 0).astype(np.float64),
        np.ascontiguousarray(mask),
        radius,
        fewest,
        found,
    )
    return found.astype(np.float32)


def filled(displacement: NDArray[np.floating]) -> NDArray[np.float32]:
    """(H, W) unknown places (NaN) smoothly from known ones; 0 when nothing is known."""
    known = np.isfinite(displacement)
    values = torch.from_numpy(np.where(known, displacement, 0).astype(np.float64))
    weights = torch.from_numpy(known.astype(np.float64))
    return push_pull(values[..., None], weights)[..., 0].numpy().astype(np.float32)


def next_centre(
    displacement: NDArray[np.floating],
    confidence: NDArray[np.floating],
    mask: NDArray[np.bool_],
    stride: int,
    shape: tuple[int, int],
    radius: int = 2,
) -> NDArray[np.float32]:
    """`shape` (H, W), mm: around which displacement the next level searches each texel of the window.

    Median-filtered, so that single outliers do not trap it; holes filled from around them; bilinear.

    Args:
        displacement, confidence, mask: (h, w), of a level of every `stride`-th texel.
    """
    return spread(filled(median_filtered(displacement, confidence, mask, radius)), stride, shape)
