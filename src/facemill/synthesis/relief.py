"""Pores and the fine relief of skin: cells scattered in space, read where the surface runs through them."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

FINE = 0.9  # mm: surfaces of a wider spacing carry neither pores nor furrows
PORE_CELL = 1.25  # mm between pores


def pores(position: NDArray, cell: float, radius: float, seed: int) -> NDArray[np.float32]:
    """0 between pores .. 1 in the middle of one: a pit of Gaussian shape per cell of space.

    Args:
        position: (n, 3) millimetres; cell: mm between pores; radius: mm, standard deviation of a pit.
    """
    return _pits(np.ascontiguousarray(position, dtype=np.float64), cell, radius, np.uint64(seed))


def furrows(position: NDArray, cell: float, seed: int) -> NDArray[np.float32]:
    """The net of fine lines between the plateaus of skin: 0 on a plateau .. 1 on a line (Worley 1996)."""
    return _borders(np.ascontiguousarray(position, dtype=np.float64), cell, np.uint64(seed))


@njit(cache=True, nogil=True)
def _random(x: int, y: int, z: int, k: int, seed: np.uint64) -> float:
    """0..1 from a place of the lattice, by mixing the bits of its coordinates."""
    value = np.uint64(x * 73856093) ^ np.uint64(y * 19349663) ^ np.uint64(z * 83492791)
    value = value ^ (np.uint64(k) * np.uint64(0x9E3779B97F4A7C15)) ^ seed
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    value = value ^ (value >> np.uint64(31))
    return float(value >> np.uint64(11)) / 9007199254740992.0


@njit(cache=True, nogil=True)
def _two_nearest(p: NDArray, cell: float, seed: np.uint64) -> tuple[float, float, float]:
    """Distances to the two nearest points of the lattice, in cells, and a number 0..1 of the nearest."""
    x, y, z = p[0] / cell, p[1] / cell, p[2] / cell
    i, j, k = int(np.floor(x)), int(np.floor(y)), int(np.floor(z))
    first, second, tag = 9.0, 9.0, 0.0
    for a in range(i - 1, i + 2):
        for b in range(j - 1, j + 2):
            for c in range(k - 1, k + 2):
                dx = a + _random(a, b, c, 0, seed) - x
                dy = b + _random(a, b, c, 1, seed) - y
                dz = c + _random(a, b, c, 2, seed) - z
                distance = dx * dx + dy * dy + dz * dz
                if distance < first:
                    second = first
                    first = distance
                    tag = _random(a, b, c, 3, seed)
                elif distance < second:
                    second = distance
    return np.sqrt(first), np.sqrt(second), tag


@njit(cache=True, nogil=True)
def _pits(position: NDArray, cell: float, radius: float, seed: np.uint64) -> NDArray:
    found = np.empty(len(position), dtype=np.float32)
    for index in range(len(position)):
        first, _, tag = _two_nearest(position[index], cell, seed)
        found[index] = (0.4 + 0.6 * tag) * np.exp(-0.5 * (first * cell / radius) ** 2)
    return found


@njit(cache=True, nogil=True)
def _borders(position: NDArray, cell: float, seed: np.uint64) -> NDArray:
    found = np.empty(len(position), dtype=np.float32)
    for index in range(len(position)):
        first, second, _ = _two_nearest(position[index], cell, seed)
        found[index] = max(0.0, 1.0 - 7.0 * (second - first))
    return found
