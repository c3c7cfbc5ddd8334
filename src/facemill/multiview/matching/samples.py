"""Colours of displaced texels in one view: projection and bilinear reading, matching's innermost loop."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def sample_view(
    position: NDArray,
    normal: NDArray,
    displacement: NDArray,
    needed: NDArray,
    picture: NDArray,
    matrix: NDArray,
    found: NDArray,
) -> int:
    """Fill found (C, R, W) with the colours of R x W texels moved along their normals; returns how many.

    A texel p + d n lands at (u, v) ~ K (R | t) (p + d n, 1), pixel centres at integers, and takes the
    bilinear mean of the four pixels around it; NaN where it is not `needed`, behind the camera or beyond
    the outermost pixel centres.

    Args:
        position, normal: (R, W, 3) float64; displacement: (R, W) mm; needed: (R, W) bool.
        picture: (H, W, C) float32; matrix: (3, 4) of it, for the frame of `position`.
    """
    rows, columns = needed.shape
    height, width, channels = picture.shape
    count = 0
    for r in range(rows):
        for c in range(columns):
            for k in range(channels):
                found[k, r, c] = np.nan
            if not needed[r, c]:
                continue
            d = displacement[r, c]
            x = position[r, c, 0] + d * normal[r, c, 0]
            y = position[r, c, 1] + d * normal[r, c, 1]
            z = position[r, c, 2] + d * normal[r, c, 2]
            w = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * z + matrix[2, 3]
            count += 1
            if not w > 0.0:
                continue
            u = (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z + matrix[0, 3]) / w
            v = (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z + matrix[1, 3]) / w
            if not (u >= 0.0 and v >= 0.0 and u <= width - 1.0 and v <= height - 1.0):
                continue
            left, upper = min(int(u), width - 2), min(int(v), height - 2)
            across, down = np.float32(u - left), np.float32(v - upper)
            for k in range(channels):
                above = picture[upper, left, k] + across * (
                    picture[upper, left + 1, k] - picture[upper, left, k]
                )
                below = picture[upper + 1, left, k] + across * (
                    picture[upper + 1, left + 1, k] - picture[upper + 1, left, k]
                )
                found[k, r, c] = above + down * (below - above)
    return count
