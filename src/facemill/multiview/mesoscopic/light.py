"""The light in a texture: how its brightness goes with the normal of the surface.

On a Lambertian surface under distant light, brightness is nearly a quadratic function of the normal
(Ramamoorthi and Hanrahan 2001: nine spherical harmonics). It is fitted to the texture itself, robustly,
because albedo varies; its gradient says how a slope too fine for the surface would show.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ROUNDS = 4
LEAST = 0.05  # of the median brightness: darker texels have no contrast that could be trusted
MOST_SAMPLES = 40000


def fit_light(brightness: NDArray, normals: NDArray) -> NDArray[np.float64]:
    """(9,) factors of the harmonics of `harmonics` that give brightness / its median.

    Args:
        brightness: (N,); normals: (N, 3) unit. Fewer than 32 texels give even light: (1, 0, ...).
    """
    even = np.zeros(9)
    even[0] = 1.0
    middle = float(np.median(brightness)) if len(brightness) >= 32 else 0.0
    if middle <= 0:
        return even
    step = -(-len(brightness) // MOST_SAMPLES)
    wanted = brightness[::step].astype(np.float64) / middle
    basis = harmonics(normals[::step].astype(np.float64))
    weight = np.ones(len(wanted))
    ridge = 1e-3 * len(wanted) * np.diag([0.0] + 8 * [1.0])
    factors: NDArray[np.float64] = even
    for _ in range(ROUNDS):
        weighted = basis * weight[:, None]
        factors = np.asarray(
            np.linalg.solve(weighted.T @ basis + ridge, weighted.T @ wanted), dtype=np.float64
        )
        wrong = wanted - basis @ factors
        scale = 1.4826 * float(np.median(np.abs(wrong))) + 1e-6
        weight = 1 / (1 + (wrong / (2 * scale)) ** 2)  # Cauchy's
    return np.asarray(factors)


def harmonics(normals: NDArray) -> NDArray[np.float64]:
    """(..., 9): 1, x, y, z, xy, xz, yz, x^2 - y^2, 3 z^2 - 1."""
    x, y, z = np.moveaxis(normals, -1, 0)
    return np.stack([np.ones_like(x), x, y, z, x * y, x * z, y * z, x * x - y * y, 3 * z * z - 1], axis=-1)


def light_gradient(factors: NDArray, normals: NDArray) -> NDArray[np.float64]:
    """(..., 3) gradient by the normal of ln(harmonics . factors), of brightness that is at least `LEAST`."""
    x, y, z = np.moveaxis(normals, -1, 0)
    zero = np.zeros_like(x)
    slopes = np.stack(
        [
            np.stack([zero, zero + 1, zero, zero, y, z, zero, 2 * x, zero], axis=-1) @ factors,
            np.stack([zero, zero, zero + 1, zero, x, zero, z, -2 * y, zero], axis=-1) @ factors,
            np.stack([zero, zero, zero, zero + 1, zero, x, y, zero, 6 * z], axis=-1) @ factors,
        ],
        axis=-1,
    )
    brightness = np.maximum(harmonics(normals) @ factors, LEAST)
    return np.asarray(slopes / brightness[..., None])
