"""One identity of several photos' identities, and how much each photo is worth in it."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Baseline = Literal["mean", "best", "landmarks"]  # what needs no confidence network

LEAST_COSINE = 0.2  # a profile counts as one seen at 78 degrees
LEAST_ERROR = 0.03  # landmark error, share of the outer-eye distance, that good photos have


def weighted_mean(values: ArrayLike, weights: ArrayLike) -> NDArray[np.float64]:
    """sum_j w_j a_j / sum_j w_j over N photos, coefficient by coefficient: (K,).

    Args:
        values: (N, K).
        weights: (N,) one for each photo, or (N, K) one for each coefficient, as a confidence network gives
            them; none negative, and of each coefficient not all 0.

    >>> weighted_mean([[0.0, 0.0], [4.0, 4.0]], [[1.0, 1.0], [1.0, 3.0]])
    array([2., 3.])
    """
    numbers, shares = np.asarray(values, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    if shares.ndim == 1:
        shares = shares[:, None]
    shares = np.broadcast_to(shares, numbers.shape)
    total = shares.sum(axis=0)
    if not (np.isfinite(shares).all() and (shares >= 0).all() and (total > 0).all()):
        raise ValueError("weights: expected finite numbers, none negative, and not all 0 for a coefficient")
    return np.asarray((shares * numbers).sum(axis=0) / total)


def photo_weights(start: Baseline, photos: pd.DataFrame) -> NDArray[np.float64]:
    """What each of N photos is worth, (N,), sum 1, where no confidence network says it.

    - mean: the same for all.
    - best: 1 for the photo with the highest landmark score (the first of equals), 0 for the others.
    - landmarks: (cosine of the head's turn / deviation)^2. The cosine is that between the line of sight and
      where the face points, at least 0.2: of a profile half of the face is guessed. The deviation is the mean
      standard deviation of the network's dense landmarks, pixels of the crop; where there are none, the root
      of the squared landmark error and 0.03^2.

    Args:
        photos: a row per photo, with `landmark_score`, `landmark_error`, `frontality` (that cosine) and
            `dense_deviation` (pixels, NaN without dense landmarks).
    """
    count = len(photos)
    if start == "best":
        scores = photos["landmark_score"].to_numpy(dtype=np.float64)
        return np.eye(count)[int(np.nan_to_num(scores, nan=-np.inf).argmax())]
    if start == "landmarks":
        cosine = photos["frontality"].to_numpy(dtype=np.float64).clip(LEAST_COSINE)
        deviation = photos["dense_deviation"].to_numpy(dtype=np.float64)
        if not np.isfinite(deviation).all():
            deviation = np.hypot(photos["landmark_error"].to_numpy(dtype=np.float64), LEAST_ERROR)
        weights = (cosine / deviation) ** 2
        return np.asarray(weights / weights.sum())
    return np.full(count, 1 / count)
