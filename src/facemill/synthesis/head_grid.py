"""A regular grid over each person's head, from the crown outwards: hair and hats lie on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.spatial import cKDTree

from facemill.models.head_builder.parts import SKIN
from facemill.synthesis.accessory import Meshed, grid_triangles
from facemill.synthesis.anatomy import Anatomy

RINGS, MERIDIANS = 46, 224
_CENTRE = np.array([0.0, 40.0, -78.0])
_CROWN = np.array([0.0, 0.88, -0.47])
_REACH = np.radians(138.0)  # from the crown to the last ring
_BLUR = np.radians(2.6)


@dataclass(frozen=True)
class HeadGrid:
    """Rings around the crown and meridians that run down from it, as hair does.

    Attributes:
        operator: (RINGS * MERIDIANS, V), vertices of the model -> points of the grid; ears are left out.
        rest: (RINGS, MERIDIANS, 3) on the mean head.
        triangles: (F, 3), outside counter-clockwise.
    """

    operator: sparse.csr_matrix
    rest: NDArray[np.float64]
    triangles: NDArray[np.int64]

    def on(self, shape: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Points and outward unit directions (RINGS, MERIDIANS, 3) on a person's shape (V, 3)."""
        points = (self.operator @ shape.astype(np.float64)).reshape(RINGS, MERIDIANS, 3)
        centre = _CENTRE + (points - self.rest)[: RINGS // 2].mean(axis=(0, 1))
        along = np.gradient(points, axis=0)
        round_ = np.roll(points, -1, axis=1) - np.roll(points, 1, axis=1)
        normal = np.cross(along, round_)
        normal[0] = points[0] - centre
        normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
        radial = points - centre
        radial /= np.linalg.norm(radial, axis=-1, keepdims=True)
        outward = normal + 1.2 * radial
        return points, outward / np.linalg.norm(outward, axis=-1, keepdims=True)

    def shell(self, points: NDArray, kept: NDArray[np.bool_]) -> Meshed:
        """The triangles with a corner in `kept` (RINGS, MERIDIANS), at `points`."""
        flat = kept.ravel()
        return points.reshape(-1, 3), self.triangles[flat[self.triangles].any(axis=1)]


def head_grid(anatomy: Anatomy) -> HeadGrid:
    """Lay the grid on the mean head."""
    front = np.array([0.0, 0.0, 1.0]) - _CROWN * _CROWN[2] / (_CROWN @ _CROWN)
    front /= np.linalg.norm(front)
    crown = _CROWN / np.linalg.norm(_CROWN)
    polar = np.linspace(np.radians(0.6), _REACH, RINGS)[:, None, None]
    azimuth = (2 * np.pi * np.arange(MERIDIANS) / MERIDIANS)[None, :, None]
    side = np.array([1.0, 0.0, 0.0])
    directions = np.cos(polar) * crown + np.sin(polar) * (np.cos(azimuth) * front + np.sin(azimuth) * side)
    skin = (anatomy.part == SKIN) & (anatomy.pocket == 0)
    chosen = np.flatnonzero(skin & (anatomy.points.ears < 0.05))
    offsets = anatomy.mean[chosen] - _CENTRE
    unit = offsets / np.linalg.norm(offsets, axis=1, keepdims=True)
    distance, nearest = cKDTree(unit).query(directions.reshape(-1, 3), k=8)
    weights = np.exp(-0.5 * (distance / np.maximum(_BLUR, 0.6 * distance[:, :1])) ** 2)
    weights /= weights.sum(axis=1, keepdims=True)
    rows = np.repeat(np.arange(len(distance)), 8)
    operator = sparse.csr_matrix(
        (weights.ravel(), (rows, chosen[nearest].ravel())), shape=(len(distance), len(anatomy.mean))
    )
    rest = (operator @ anatomy.mean).reshape(RINGS, MERIDIANS, 3)
    return HeadGrid(operator, rest, grid_triangles(RINGS, MERIDIANS, wrap=True))


def over_ears(rest: NDArray) -> NDArray[np.float64]:
    """(RINGS, MERIDIANS) thickness in millimetres that clears the ears, which the grid leaves out."""
    return 24.0 * np.exp(-0.5 * (((rest[..., 1] - 6.0) / 28.0) ** 2 + ((rest[..., 2] + 86.0) / 22.0) ** 2))


def streaks(random: np.random.Generator, width: int = 3, drift: int = 9) -> NDArray[np.float64]:
    """Strand-like noise (RINGS, MERIDIANS), mean 0, deviation 1: long along meridians, narrow across."""
    noise = random.normal(size=(RINGS, MERIDIANS))
    for _ in range(2):
        noise = _moving_mean(noise, drift, 0)
        noise = _moving_mean(noise, width, 1)
    return noise / noise.std()


def bumps(random: np.random.Generator, size: int = 7) -> NDArray[np.float64]:
    """Round noise (RINGS, MERIDIANS), mean 0, deviation 1."""
    return streaks(random, width=2 * size, drift=size)


def _moving_mean(values: NDArray, width: int, axis: int) -> NDArray[np.float64]:
    half = width // 2
    moved = np.moveaxis(values, axis, 0)
    before, after = (moved[-half:], moved[:half]) if axis == 1 else (moved[:1], moved[-1:])
    ends = (before, after) if axis == 1 else (np.repeat(before, half, 0), np.repeat(after, half, 0))
    padded = np.moveaxis(np.concatenate([ends[0], moved, ends[1]]), 0, axis)
    total = np.cumsum(np.concatenate([np.zeros_like(np.take(padded, [0], axis)), padded], axis), axis)
    size = values.shape[axis]
    span = 2 * half + 1
    return (np.take(total, range(span, span + size), axis) - np.take(total, range(size), axis)) / span
