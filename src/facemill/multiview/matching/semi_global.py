"""Semi-global aggregation over the grid of texels (Hirschmüller 2008, without the search in a picture)."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from facemill.rendering.zbuffer import in_threads

#: Steps (rows, columns) of the eight paths that end in a texel.
PATHS = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1))


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def _aggregate_path(
    costs: NDArray, mask: NDArray, down: int, across: int, small: float, large: float, total: NDArray
) -> None:
    """Add to total (H, W, K) the costs along one path: L(x, k) = C(x, k) + min(L(y, k), L(y, k +- 1) +
    small, min L(y) + large) - min L(y), y the texel before x."""
    height, width, count = costs.shape
    before = np.zeros((2, width + 2, count), dtype=np.float32)
    lowest = np.zeros((2, width + 2), dtype=np.float32)
    known = np.zeros((2, width + 2), dtype=np.bool_)
    for i in range(height):
        row = i if down >= 0 else height - 1 - i
        now, last = i % 2, (i + 1) % 2
        known[now] = False
        for j in range(width):
            column = j if across >= 0 else width - 1 - j
            if not mask[row, column]:
                continue
            source = now if down == 0 else last
            y = column + 1 - across
            here = before[now, column + 1]
            least = np.float32(np.inf)
            if known[source, y]:
                path = before[source, y]
                ceiling = lowest[source, y]
                for k in range(count):
                    best = min(path[k], ceiling + large)
                    if k > 0:
                        best = min(best, path[k - 1] + small)
                    if k < count - 1:
                        best = min(best, path[k + 1] + small)
                    here[k] = costs[row, column, k] + best - ceiling
            else:
                for k in range(count):
                    here[k] = costs[row, column, k]
            for k in range(count):
                total[row, column, k] += here[k]
                least = min(least, here[k])
            lowest[now, column + 1] = least
            known[now, column + 1] = True


def aggregate(
    costs: NDArray[np.float32], mask: NDArray[np.bool_], small: float, large: float, threads: int
) -> NDArray[np.float32]:
    """(H, W, K) the mean over the eight paths of the costs that lead to each sample of each texel.

    Args:
        costs: (H, W, K) finite on the mask; samples are counted from each texel's own start, so that a
            surface along the starts costs nothing.
        small: for a change by one sample between neighbours; large: for any other.
    """
    sums = np.zeros((2, *costs.shape), dtype=np.float32)  # two, so that the order of adding is fixed

    def half(number: int) -> None:
        for down, across in PATHS[number::2]:
            _aggregate_path(costs, mask, down, across, small, large, sums[number])

    in_threads(half, [0, 1], threads)
    return (sums[0] + sums[1]) / len(PATHS)
