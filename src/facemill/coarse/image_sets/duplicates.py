"""Photos that are copies of one another: equal, or saved, scaled or toned again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from facemill.geometry.image import resize

SIDE = 32


def find_duplicates(crops: Sequence[Tensor], largest_distance: float) -> list[int | None]:
    """For each of N crops the first earlier crop, itself no copy, that it copies; None for originals.

    Files of equal bytes have equal crops. Other copies are found by 1 − the correlation of the grey values,
    reduced to 32 x 32: 0.02 between a photo and its copy at JPEG quality 15, half as bright or in grey; 0.12
    between the two most similar crops of the benchmark's 72.

    Args:
        crops: (224, 224, 3), colours 0..1.
    """
    small = [_signature(crop) for crop in crops]
    found: list[int | None] = []
    for place, crop in enumerate(crops):
        copied = None
        for earlier in range(place):
            if found[earlier] is None and (
                bool((crops[earlier] == crop).all())
                or 1 - float(small[earlier] @ small[place]) < largest_distance
            ):
                copied = earlier
                break
        found.append(copied)
    return found


def _signature(crop: Tensor) -> NDArray[np.float64]:
    """Grey values (1024,), mean 0 and length 1; zeros for a crop of one grey."""
    grey = crop.double().mean(dim=2).numpy()
    reduced = np.asarray(resize(grey, (SIDE, SIDE), "bilinear").image, dtype=np.float64).ravel()
    reduced = reduced - reduced.mean()
    length = np.linalg.norm(reduced)
    return reduced / length if length > 1e-6 else np.zeros_like(reduced)
