"""What the views agree on, at low resolution: gains of each view, and where a view shows something else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facemill.multiview.texturing.views import ViewTexels

REDUCED = 4  # side of a square of texels that is one of the low resolution
DARKEST = 0.02
ROUNDS = 3
#: Deviations of the logarithm of a colour from the median of the views at which a view counts half: above it
#: (a highlight) and below it (a shadow, a hand): light that moves with the camera adds, so above is stricter.
ABOVE, BELOW = 0.06, 0.20
#: A smooth change of brightness is learned from deviations below this, and is no larger.
FIELD_LIMIT = 0.25
FIELD_PRIOR = 0.05  # weight of "no change" against texels of full weight
NOISE = 0.004  # standard deviation of a gradient that is no detail, of colours 0..1
LEAST_SHARPNESS = 0.02

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Agreement:
    """Of V views over T x T texels.

    gains: (V, 3), to be applied on top of the capture's; their geometric mean, weighted by what the views
        give, is 1. fields: (V, t, t, 3) smooth factors at low resolution, gains included. known: (V, t, t),
    the view shows something there. robust: (V, t, t) 0..1, how far it agrees with the median there, 1 where
    it shows nothing. sharpness: (V, t, t) 0..1, against the sharpest.
    """

    gains: FloatArray
    fields: FloatArray
    known: NDArray[np.bool_]
    robust: FloatArray
    sharpness: FloatArray


def find_agreement(
    views: Sequence[ViewTexels], weights: FloatArray, texel: float, field: float, robust: bool
) -> Agreement:
    """Compare views where they overlap.

    Args:
        weights: (V, T, T) of the views by how they see. texel: mm of one. field: see BlendTextureSettings.
        robust: False leaves out the weights against outliers.
    """
    low = np.stack([reduced_mean(weight, np.ones_like(weight)) for weight in weights])
    colours = np.stack(
        [
            reduced_mean(view.colour.astype(np.float32), (weight > 0).astype(np.float32))
            for view, weight in zip(views, weights, strict=True)
        ]
    )
    logs = np.log(np.maximum(colours, DARKEST))
    known = low > 0
    gains = np.zeros((len(views), 3), dtype=np.float32)
    for _ in range(ROUNDS):
        difference = weighted_median(logs + gains[:, None, None], low) - logs
        for number, there in enumerate(difference):
            shared = known[number] & (known.sum(axis=0) > 1)
            if shared.any():
                gains[number] = np.median(there[shared], axis=0)
        gains -= (gains * low.sum(axis=(1, 2))[:, None]).sum(axis=0) / max(low.sum(), 1e-9)
    fields = np.broadcast_to(gains[:, None, None], logs.shape).astype(np.float32).copy()
    if field > 0:
        fields += _smooth_fields(logs + fields, low, field / (texel * REDUCED))
    deviation = logs + fields - weighted_median(logs + fields, low)
    deviation = np.where(known[..., None], deviation, 0)
    trust = _trust(deviation) if robust else np.ones_like(low)
    return Agreement(np.exp(gains), np.exp(fields), known, trust, _sharpness(views, low, texel))


def weighted_median(values: FloatArray, weights: FloatArray) -> FloatArray:
    """(h, w, C) median over the first axis of values (V, h, w, C) with weights (V, h, w); 0 without any."""
    order = np.argsort(values, axis=0)
    ordered = np.take_along_axis(values, order, axis=0)
    heavy = np.take_along_axis(np.broadcast_to(weights[..., None], values.shape), order, axis=0)
    total = np.cumsum(heavy, axis=0)
    half = np.argmax(total >= total[-1:] / 2, axis=0)[None]
    middle = np.take_along_axis(ordered, half, axis=0)[0]
    return np.where(total[-1] > 0, middle, 0).astype(np.float32)


def reduced_mean(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Weighted means of squares of REDUCED texels: (T, T[, C]) -> (t, t[, C]); 0 without weight."""
    side = -(-len(weights) // REDUCED)
    pad = side * REDUCED - len(weights)
    weight = np.pad(weights, ((0, pad), (0, pad))).reshape(side, REDUCED, side, REDUCED)
    plain = values.reshape(*weights.shape, -1)
    padded = np.pad(plain, ((0, pad), (0, pad), (0, 0))).reshape(side, REDUCED, side, REDUCED, -1)
    sums = np.einsum("arbsc,arbs->abc", padded, weight, optimize=True)
    means = sums / np.maximum(weight.sum(axis=(1, 3)), 1e-9)[..., None]
    return means.reshape(side, side, *values.shape[2:]).astype(np.float32)


def enlarged(values: FloatArray, size: int) -> FloatArray:
    """A map (t, t[, C]) of low resolution at all texels, bilinearly: (T, T[, C])."""
    side = len(values) * REDUCED
    return np.asarray(cv2.resize(values, (side, side), interpolation=cv2.INTER_LINEAR)[:size, :size])


def blurred(values: FloatArray, weights: FloatArray, deviation: float, prior: float = 1e-4) -> FloatArray:
    """Gaussian mean of what is known; far from it `prior` draws it to 0."""
    extra = weights[..., None] if values.ndim == 3 else weights
    above = cv2.GaussianBlur(values * extra, (0, 0), deviation)
    below = cv2.GaussianBlur(weights, (0, 0), deviation) + prior
    return np.asarray(above / (below[..., None] if values.ndim == 3 else below))


def _smooth_fields(logs: FloatArray, low: FloatArray, deviation: float) -> FloatArray:
    """(V, t, t, 3) logarithms of smooth factors that take each view to the median of the views."""
    middle = weighted_median(logs, low)
    several = (low > 0).sum(axis=0) > 1
    found = np.zeros_like(logs)
    for number, values in enumerate(logs):
        difference = middle - values
        small = np.abs(difference).max(axis=-1) < FIELD_LIMIT
        weight = (low[number] * several * small).astype(np.float32)
        found[number] = blurred(
            difference, weight, max(deviation, 0.5), FIELD_PRIOR * weight.max(initial=0) + 1e-6
        )
    return np.clip(found, -FIELD_LIMIT, FIELD_LIMIT)


def _trust(deviation: FloatArray) -> FloatArray:
    """(V, t, t): 1 / (1 + r^4), r the deviation (V, t, t, 3) against its scale, largest of the colours.

    The neighbourhood of an outlier is distrusted with it, as the border of a hand is half skin.
    """
    scaled = np.where(deviation > 0, deviation / ABOVE, -deviation / BELOW).max(axis=-1)
    trust = 1 / (1 + scaled**4)
    eroded = np.stack([cv2.erode(one, np.ones((3, 3), np.uint8)) for one in trust.astype(np.float32)])
    return np.stack([cv2.GaussianBlur(one, (0, 0), 1.0) for one in eroded])


def _sharpness(views: Sequence[ViewTexels], low: FloatArray, texel: float) -> FloatArray:
    """(V, t, t): energy of the gradients within about 6 mm, as a share of the view's that has most of it."""
    energies = []
    for view, weight in zip(views, low, strict=True):
        grey = view.colour.astype(np.float32).mean(axis=-1)
        seen = view.weight > 0
        right, down = np.zeros_like(grey), np.zeros_like(grey)
        right[:, :-1] = (grey[:, 1:] - grey[:, :-1]) * (seen[:, 1:] & seen[:, :-1])
        down[:-1] = (grey[1:] - grey[:-1]) * (seen[1:] & seen[:-1])
        energy = reduced_mean(right**2 + down**2, seen.astype(np.float32))
        energies.append(blurred(energy, weight, max(6 / (texel * REDUCED), 0.5)) + NOISE**2)
    stacked = np.stack(energies)
    # The second of the views, not the first: one with a false edge, of a hand say, is no measure.
    masked = np.sort(np.where(low > 0, stacked, 0), axis=0)
    best = masked[-2] if len(views) > 1 else masked[-1]
    best = np.where(best > 0, best, masked[-1])
    return np.clip(stacked / np.maximum(best, NOISE**2), LEAST_SHARPNESS, 1).astype(np.float32)
