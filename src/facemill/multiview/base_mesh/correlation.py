"""How alike patches of the surface look in several views: the inner loops of the photo-consistency search."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from facemill.rendering.zbuffer import in_threads

SIDE = 9  # points of a patch along each side
DARKEST_CONTRAST = 1e-6  # variance below which a patch is flat, and looks like nothing
CHUNK = 256


class Places(NamedTuple):
    """N points of the surface that are sought along their normals; float64, world frame.

    points, normals, across, along: (N, 3), the last three of unit length and at right angles.
    views: (N, M) int64, the views that see each, best first, -1 = no more.
    """

    points: NDArray
    normals: NDArray
    across: NDArray
    along: NDArray
    views: NDArray


class Photos(NamedTuple):
    """V grey pictures of one size class, stacked: pixels (V, H, W) float32 0..1, padded with NaN.

    matrices: (V, 3, 4) K (R | t) of these pictures; float64.
    """

    pixels: NDArray
    matrices: NDArray


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def correlate(
    start: int,
    stop: int,
    points: NDArray,
    normals: NDArray,
    across: NDArray,
    along: NDArray,
    views: NDArray,
    pixels: NDArray,
    matrices: NDArray,
    depths: NDArray,
    spacing: float,
    scores: NDArray,
) -> None:
    """Fill scores[start:stop]: mean over pairs of views of the normalised correlation, NaN = fewer than two.

    The picture of a patch is the affine one of its middle: it is a few millimetres small at a metre.
    """
    height, width = pixels.shape[1], pixels.shape[2]
    total = np.zeros(SIDE * SIDE)
    patch = np.zeros(SIDE * SIDE)
    half = SIDE // 2
    for n in range(start, stop):
        for d in range(depths.shape[0]):
            x = points[n, 0] + depths[d] * normals[n, 0]
            y = points[n, 1] + depths[d] * normals[n, 1]
            z = points[n, 2] + depths[d] * normals[n, 2]
            total[:] = 0.0
            used = 0
            for m in range(views.shape[1]):
                v = views[n, m]
                if v < 0:
                    break
                p = matrices[v]
                w = p[2, 0] * x + p[2, 1] * y + p[2, 2] * z + p[2, 3]
                if not w > 0.0:
                    continue
                u = (p[0, 0] * x + p[0, 1] * y + p[0, 2] * z + p[0, 3]) / w
                r = (p[1, 0] * x + p[1, 1] * y + p[1, 2] * z + p[1, 3]) / w
                ux = uy = rx = ry = 0.0
                for i in range(3):
                    du = (p[0, i] - u * p[2, i]) / w * spacing
                    dr = (p[1, i] - r * p[2, i]) / w * spacing
                    ux += du * across[n, i]
                    uy += du * along[n, i]
                    rx += dr * across[n, i]
                    ry += dr * along[n, i]
                reach_u, reach_r = half * (abs(ux) + abs(uy)), half * (abs(rx) + abs(ry))
                if u - reach_u < 0.0 or r - reach_r < 0.0:
                    continue
                if u + reach_u >= width - 1.0 or r + reach_r >= height - 1.0:
                    continue
                picture = pixels[v]
                mean = 0.0
                k = 0
                for b in range(-half, half + 1):
                    for a in range(-half, half + 1):
                        cu = u + a * ux + b * uy
                        cr = r + a * rx + b * ry
                        iu, ir = int(cu), int(cr)
                        fu, fr = cu - iu, cr - ir
                        upper = picture[ir, iu] * (1.0 - fu) + picture[ir, iu + 1] * fu
                        lower = picture[ir + 1, iu] * (1.0 - fu) + picture[ir + 1, iu + 1] * fu
                        value = upper * (1.0 - fr) + lower * fr
                        patch[k] = value
                        mean += value
                        k += 1
                mean /= k
                square = 0.0
                for i in range(k):
                    patch[i] -= mean
                    square += patch[i] * patch[i]
                if not square > DARKEST_CONTRAST * k:  # flat, or beyond the picture (NaN)
                    continue
                scale = 1.0 / math.sqrt(square)
                for i in range(k):
                    total[i] += patch[i] * scale
                used += 1
            if used < 2:
                scores[n, d] = math.nan
                continue
            together = 0.0
            for i in range(SIDE * SIDE):
                together += total[i] * total[i]
            scores[n, d] = (together - used) / (used * (used - 1.0))


def correlations(
    places: Places, photos: Photos, depths: NDArray, spacing: float, threads: int
) -> NDArray[np.float64]:
    """(N, D) scores, -1..1, of each place moved by each of `depths` (D,) mm along its normal.

    Args:
        spacing: mm between the points of a patch.
    """
    scores = np.empty((len(places.points), len(depths)))
    count = len(places.points)

    def fill(start: int) -> None:
        stop = min(start + CHUNK, count)
        correlate(start, stop, *places, *photos, np.asarray(depths, dtype=np.float64), spacing, scores)

    in_threads(fill, list(range(0, count, CHUNK)), threads)
    return scores
