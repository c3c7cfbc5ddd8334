"""Which photos of a person are fitted when there are too many."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

NEAR = 15.0  # degrees: of two photos turned less than this against each other the second says little new


def choose_photos(worth: ArrayLike, angles: ArrayLike, most: int) -> NDArray[np.int64]:
    """Rows of the best and most diverse of N photos, ascending; all when there are no more than `most`.

    One after the other: first the photo of the greatest worth, then always the one with the greatest
    w (1 - exp(-(a / 15 degrees)^2) + 0.01), a being the angle to the nearest photo chosen before. Of equals
    the first.

    Args:
        worth: (N,), none negative.
        angles: (N, 2) degrees, pitch and yaw of the head.

    >>> choose_photos([1.0, 0.9, 0.5], [[0, 0], [0, 2], [0, 40]], 2)
    array([0, 2])
    """
    values, turned = np.asarray(worth, dtype=np.float64), np.asarray(angles, dtype=np.float64)
    if len(values) <= most:
        return np.arange(len(values))
    nearest = np.full(len(values), np.inf)
    free = np.ones(len(values), dtype=bool)
    chosen = []
    for _ in range(most):
        news = 1 - np.exp(-((nearest / NEAR) ** 2)) + 0.01
        row = int(np.where(free, values * news, -np.inf).argmax())
        chosen.append(row)
        free[row] = False
        nearest = np.minimum(nearest, np.hypot(*(turned - turned[row]).T))
    return np.sort(np.asarray(chosen))
