"""Multi-band blending over an atlas (Burt and Adelson 1983, A multiresolution spline).

Each view's map is split into bands of frequency, the bands are mixed with weights as smooth as they are, and
added: coarse differences between views go over into one another slowly, fine detail quickly.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


class BandBlender:
    """Adds views one by one, so that only one is in memory as a pyramid.

    Args:
        size: T, side of the maps. levels: how many bands are halved. sharp: how many of the first bands take
            the `fine` weights.
    """

    def __init__(self, size: int, levels: int, sharp: int) -> None:
        self._sharp = sharp
        self._sums: list[FloatArray] = []
        self._weights: list[FloatArray] = []
        self._sizes = [size]
        for _ in range(levels):
            self._sizes.append((self._sizes[-1] + 1) // 2)
        for side in self._sizes:
            self._sums.append(np.zeros((side, side, 3), dtype=np.float32))
            self._weights.append(np.zeros((side, side), dtype=np.float32))

    def add(self, colour: FloatArray, fine: FloatArray, coarse: FloatArray) -> None:
        """Add a map (T, T, 3) that is known everywhere, with weights (T, T) for fine and for coarse bands."""
        image = np.ascontiguousarray(colour)
        for level, side in enumerate(self._sizes):
            weight = fine if level < self._sharp else coarse
            if level + 1 < len(self._sizes):
                smaller = cv2.pyrDown(image)
                band = image - cv2.pyrUp(smaller, dstsize=(side, side))
            else:
                smaller, band = image, image
            self._sums[level] += weight[..., None] * band
            self._weights[level] += weight
            image = np.asarray(smaller)
            if level + 1 < len(self._sizes):
                fine, coarse = np.asarray(cv2.pyrDown(fine)), np.asarray(cv2.pyrDown(coarse))

    def blended(self) -> FloatArray:
        """(T, T, 3) the sum of all bands; 0 where no view has weight."""
        image = self._mean(len(self._sizes) - 1)
        for level in range(len(self._sizes) - 2, -1, -1):
            side = self._sizes[level]
            image = cv2.pyrUp(image, dstsize=(side, side)) + self._mean(level)
        return np.asarray(image)

    def _mean(self, level: int) -> FloatArray:
        return np.asarray(self._sums[level] / np.maximum(self._weights[level], 1e-9)[..., None])


def weighted_mean(colours: Iterable[FloatArray], weights: FloatArray) -> FloatArray:
    """(T, T, 3) mean of maps with weights (V, T, T); 0 where no view has weight."""
    total = np.zeros((*weights.shape[1:], 3), dtype=np.float32)
    for colour, weight in zip(colours, weights, strict=True):
        total += weight[..., None] * colour
    return np.asarray(total / np.maximum(weights.sum(axis=0), 1e-9)[..., None])
