"""How well the views agree on a texel: correlation and variance over a small window of texels."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

MOST_MISSING = 0.4  # of a window's weight, beside what no view has


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def correlate_window(
    samples: NDArray,
    chosen: NDArray,
    first: int,
    weights: NDArray,
    noise: float,
    best_share: float,
    scores: NDArray,
    counts: NDArray,
) -> None:
    """Fill scores (R, W) with the normalised correlation of the windows around texels between views.

    In view v the window holds colours x_vi with weights w_i (those that are NaN left out). With the weighted
    mean of each channel taken off, q_vi = sqrt(w_i) (x_vi - mean), and p_v = q_v / sqrt(|q_v|² + noise² m),
    m the sum of weights over all channels; the score is the mean of the products p_u p_v over the best
    `best_share` of the pairs of views, at least 0. Gains and offsets of a view do not matter; a window
    without contrast above `noise` scores 0. (Zero-mean normalised cross-correlation, e.g. Furukawa and Ponce
    2010, between surfaces instead of pictures.)

    Args:
        samples: (V, C, R + 2 r, W) float32, NaN = not seen.
        chosen: (R, W, M) int16, the views compared at each texel, -1 = no more.
        first: row of `samples` that is row 0 of `chosen`.
        weights: (2 r + 1, 2 r + 1) float32.
        noise: standard deviation of one colour.
        counts: (R, W) uint8, filled with how many views had most of their window.
        scores: NaN where fewer than two had.
    """
    channels, all_rows, columns = samples.shape[1], samples.shape[2], samples.shape[3]
    rows, most = chosen.shape[0], chosen.shape[2]
    side = weights.shape[0]
    radius = side // 2
    length = channels * side * side
    patches = np.zeros((most, length), dtype=np.float32)
    pairs = np.zeros(most * (most - 1) // 2 + 1, dtype=np.float32)
    roots = np.sqrt(weights)
    for row in range(rows):
        for column in range(columns):
            scores[row, column] = np.nan
            counts[row, column] = 0
            if chosen[row, column, 0] < 0:
                continue
            top, bottom = max(0, first + row - radius), min(all_rows, first + row + radius + 1)
            left, right = max(0, column - radius), min(columns, column + radius + 1)
            # Weight of what the best view has: parts of the window beside the face count for nobody.
            fullest = np.float32(0.0)
            used = 0
            for m in range(most):
                view = chosen[row, column, m]
                if view < 0:
                    break
                total = np.float32(0.0)
                square = np.float32(0.0)
                patch = patches[used]
                patch[:] = 0.0
                for k in range(channels):
                    plane = samples[view, k]
                    mean, weight = np.float32(0.0), np.float32(0.0)
                    for r in range(top, bottom):
                        for c in range(left, right):
                            value = plane[r, c]
                            if not math.isnan(value):
                                w = weights[r - first - row + radius, c - column + radius]
                                mean += w * value
                                weight += w
                    if weight <= 0.0:
                        continue
                    mean /= weight
                    total += weight
                    for r in range(top, bottom):
                        at = (k * side + r - first - row + radius) * side + radius - column
                        for c in range(left, right):
                            value = plane[r, c]
                            if not math.isnan(value):
                                root = roots[r - first - row + radius, c - column + radius]
                                centred = root * (value - mean)
                                patch[at + c] = centred
                                square += centred * centred
                fullest = max(fullest, total)
                if total < (1 - MOST_MISSING) * fullest or total <= 0.0:
                    continue
                scale = np.float32(1.0 / math.sqrt(square + noise * noise * total))
                for i in range(length):
                    patch[i] *= scale
                used += 1
            counts[row, column] = used
            if used < 2:
                continue
            count = 0
            for a in range(used):
                for b in range(a):
                    product = np.float32(0.0)
                    for i in range(length):
                        product += patches[a, i] * patches[b, i]
                    pairs[count] = product
                    count += 1
            kept = count
            if best_share < 1.0:
                kept = max(1, math.ceil(best_share * count))
                pairs[:count].sort()
            together = np.float32(0.0)
            for i in range(count - kept, count):
                together += pairs[i]
            scores[row, column] = min(1.0, max(0.0, together / kept))


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def vary_window(
    samples: NDArray,
    chosen: NDArray,
    first: int,
    weights: NDArray,
    tolerance: float,
    scores: NDArray,
    counts: NDArray,
) -> None:
    """Fill scores (R, W) with exp(-s / (2 tolerance^2)), s the variance of colours between views.

    At each texel of the window the variance over the views that have it (two at least), as the mean over
    channels; s is their weighted mean. Arguments as in `correlate_window`; NaN where no texel has two views.
    """
    channels, all_rows, columns = samples.shape[1], samples.shape[2], samples.shape[3]
    rows, most = chosen.shape[0], chosen.shape[2]
    radius = weights.shape[0] // 2
    for row in range(rows):
        for column in range(columns):
            scores[row, column] = np.nan
            counts[row, column] = 0
            if chosen[row, column, 0] < 0:
                continue
            total, weight, largest = 0.0, 0.0, 0
            for r in range(max(0, first + row - radius), min(all_rows, first + row + radius + 1)):
                for c in range(max(0, column - radius), min(columns, column + radius + 1)):
                    variance, used = 0.0, 0
                    for k in range(channels):
                        used, mean, square = 0, 0.0, 0.0
                        for m in range(most):
                            view = chosen[row, column, m]
                            if view < 0:
                                break
                            value = samples[view, k, r, c]
                            if not math.isnan(value):
                                used += 1
                                change = value - mean
                                mean += change / used
                                square += change * (value - mean)
                        if used > 1:
                            variance += square / used
                    if used < 2:
                        continue
                    w = weights[r - first - row + radius, c - column + radius]
                    total += w * variance / channels
                    weight += w
                    largest = max(largest, used)
            counts[row, column] = largest
            if weight > 0.0:
                scores[row, column] = math.exp(-0.5 * total / weight / (tolerance * tolerance))
