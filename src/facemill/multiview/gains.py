"""Gains of each view and colour, from the colours of the same spots of skin in several views."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from facemill.multiview.matches import PairMatches

BLUR = 4.0  # px, standard deviation: colours are those of a patch, as matches are a pixel off
USABLE = (0.04, 0.96)  # colours outside are clipped, or noise
LEAST = 20  # spots that two views must share
PRIOR = 0.3  # standard deviation of the logarithm of a gain, where nothing is known
ROUNDS = 20
HUBER = 0.03  # of a logarithm of colours: more is a highlight, a shadow, or a wrong match

FloatArray = NDArray[np.float64]


def estimate_gains(pictures: Sequence[NDArray[np.uint8]], matches: Sequence[PairMatches]) -> FloatArray:
    """Gains (V, 3): a picture times its gains matches the others.

    The logarithms of the gains of two views differ by that of the colours of what both show; least squares
    over all pairs, robust (Huber), with the median of the spots of a pair as one observation of each colour,
    which a moving highlight does not move. The geometric mean of the gains is one for each colour. Views that
    share too few spots with others keep the gain that says nothing, one.

    Args:
        pictures: (H, W, 3) uint8, V of them. matches: of pairs of them, wrong ones left out.
    """
    blurred = [cv2.GaussianBlur(picture, (0, 0), BLUR) for picture in pictures]
    pairs, differences, weights = [], [], []
    for match in matches:
        first = _colours(blurred[match.first], match.first_pixels)
        second = _colours(blurred[match.second], match.second_pixels)
        usable = [(low > USABLE[0]) & (low < USABLE[1]) for low in (first, second)]
        good = (usable[0] & usable[1]).all(axis=1)
        if good.sum() < LEAST:
            continue
        ratios = np.log(first[good] / second[good])
        middle = np.median(ratios, axis=0)
        spread = 1.48 * np.median(np.abs(ratios - middle), axis=0).max()
        pairs.append((match.first, match.second))
        differences.append(middle)
        weights.append(good.sum() / max(spread, 0.01) ** 2)
    if not pairs:
        return np.ones((len(pictures), 3))
    logarithms = _solved(len(pictures), np.array(pairs), np.array(differences), np.array(weights))
    return np.exp(logarithms)


def _colours(picture: NDArray, pixels: FloatArray) -> FloatArray:
    """Colours (M, 3), 0 to 1, at the nearest pixels."""
    height, width = picture.shape[:2]
    at = np.rint(pixels).astype(int).clip(0, [width - 1, height - 1])
    return np.asarray(picture[at[:, 1], at[:, 0]] / 255.0)


def _solved(count: int, pairs: NDArray, differences: FloatArray, weights: FloatArray) -> FloatArray:
    """Logarithms (V, 3) of gains g with g[second] - g[first] = differences, their mean zero."""
    rows = np.zeros((len(pairs), count))
    rows[np.arange(len(pairs)), pairs[:, 1]] = 1
    rows[np.arange(len(pairs)), pairs[:, 0]] = -1
    scale = weights / weights.mean()
    found = np.zeros((count, differences.shape[1]))
    anchor = np.ones((count, count)) / count + np.eye(count) * 1e-3 * (HUBER / PRIOR) ** 2
    for _ in range(ROUNDS):
        residual = np.abs(rows @ found - differences).max(axis=1)
        robust = scale * np.minimum(1.0, HUBER / residual.clip(1e-9))
        weighted = rows * robust[:, None]
        found = np.linalg.solve(weighted.T @ rows + anchor, weighted.T @ differences)
    return found - found.mean(axis=0)
