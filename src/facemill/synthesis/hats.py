"""Hats, caps, beanies and hoods on the grid of the head."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facemill.models.head_builder.skin_points import smooth_step
from facemill.synthesis.accessory import HAT, Accessory, Meshed, accessory, grid_triangles, joined
from facemill.synthesis.head_grid import MERIDIANS, HeadGrid, bumps, over_ears

KINDS = ("beanie", "cap", "brim", "hood")


def hat_line(kind: str, random: np.random.Generator) -> tuple[float, float]:
    """y of the lower edge of a hat on the mean head, above the brows and at the back."""
    front = random.uniform(66, 88) if kind != "beanie" else random.uniform(62, 92)
    return float(front), float(random.uniform(8, 35))


def covered(grid: HeadGrid, kind: str, line: tuple[float, float]) -> NDArray[np.float64]:
    """(RINGS, MERIDIANS) 0..1, what a hat covers."""
    y, z = grid.rest[..., 1], grid.rest[..., 2]
    if kind == "hood":
        x = grid.rest[..., 0]
        # An oval round the face stays free.
        oval = np.hypot(x / 66.0, (y - 2.0) / 92.0) + smooth_step(-35.0 - z, 0.0, 30.0)
        return smooth_step(oval, 1.0, 1.12)
    share = np.clip((0.0 - z) / 165.0, 0, 1)
    return smooth_step(y - (line[0] + (line[1] - line[0]) * share), -3.0, 3.0)


def hat(
    grid: HeadGrid, shape: NDArray, kind: str, line: tuple[float, float], random: np.random.Generator
) -> Accessory:
    """A hat of a kind of `KINDS` on a person's shape (V, 3).

    Raises:
        ValueError: an unknown kind.
    """
    if kind not in KINDS:
        raise ValueError(f"kind: expected one of {', '.join(KINDS)}, found {kind!r}")
    points, outward = grid.on(shape)
    inside = covered(grid, kind, line)
    y = grid.rest[..., 1]
    high = smooth_step(y, 60.0, 130.0)
    colour = cloth_colour(random)
    shade = 1 + 0.04 * bumps(random, 10)
    if kind == "beanie":
        rim = np.exp(-0.5 * (((inside - 0.5) / 0.22) ** 2)) * (inside > 0)
        ribs = np.cos(2 * np.pi * np.arange(MERIDIANS) / 4.0)[None]
        thick = 5.5 + 6.0 * high**2 + 3.5 * _fold(grid, line) + 0.7 * ribs + 2.0 * bumps(random, 10) * high
        shade = shade * (1 + 0.10 * ribs - 0.10 * rim)
    elif kind == "hood":
        thick = np.maximum(7.0 + 3.0 * high, over_ears(grid.rest)) + 1.5 * bumps(random, 12)
        shade = shade * (1 + 0.05 * bumps(random, 6))
    else:
        thick = 6.0 + 12.0 * high + 0.8 * bumps(random, 12)
    offset = thick * smooth_step(inside, 0.25, 0.75) - 2.5 * (1 - smooth_step(inside, 0.0, 0.4))
    surface = points + outward * offset[..., None]
    pieces: list[Meshed] = [grid.shell(surface, inside > 0.05)]
    colours = [(colour * shade[..., None]).reshape(-1, 3)]
    if kind in ("cap", "brim"):
        mesh = _visor(grid, points, outward, line, kind, random)
        pieces.append(mesh)
        second = colour if random.random() < 0.7 else cloth_colour(random)
        colours.append(np.tile(second * 0.9, (len(mesh[0]), 1)))
    return accessory(f"hat_{kind}", HAT, joined(pieces), np.concatenate(colours), 0.08)


def _fold(grid: HeadGrid, line: tuple[float, float]) -> NDArray[np.float64]:
    """1 in the turned-up edge of a beanie."""
    y, z = grid.rest[..., 1], grid.rest[..., 2]
    height = y - (line[0] + (line[1] - line[0]) * np.clip(-z / 165.0, 0, 1))
    return smooth_step(34.0 - height, -3.0, 2.0)


def cloth_colour(random: np.random.Generator) -> NDArray[np.float64]:
    """Colours that clothes have: mostly muted, some bright."""
    grey = random.uniform(0.05, 0.85)
    tint = random.normal(0, 1, 3)
    tint -= tint.mean()
    strength = random.uniform(0.01, 0.08) if random.random() < 0.8 else random.uniform(0.12, 0.25)
    return np.clip(grey + strength * tint / np.abs(tint).max(), 0.03, 0.92)


def _visor(
    grid: HeadGrid,
    points: NDArray,
    outward: NDArray,
    line: tuple[float, float],
    kind: str,
    random: np.random.Generator,
) -> Meshed:
    """The shade of a cap (front only) or a brim all round, from the edge of the hat outwards."""
    y, z = grid.rest[..., 1], grid.rest[..., 2]
    height = np.abs(y - (line[0] + (line[1] - line[0]) * np.clip(-z / 165.0, 0, 1)))
    ring = np.argmin(height, axis=0)
    meridian = np.arange(MERIDIANS)
    edge = points[ring, meridian] + 5.0 * outward[ring, meridian]
    edge = _smoothed(edge)
    angle = 2 * np.pi * meridian / MERIDIANS
    flat = outward[ring, meridian] * [1.0, 0.0, 1.0]
    flat = _smoothed(flat / np.linalg.norm(flat, axis=1, keepdims=True))
    if kind == "cap":
        reach = random.uniform(60, 75) * smooth_step(np.cos(angle), 0.25, 0.85)
        flat = 0.35 * flat + 0.65 * np.array([0.0, 0.0, 1.0])
        droop = random.uniform(0.12, 0.35) * np.ones(MERIDIANS) + 0.004 * np.abs(edge[:, 0])
    else:
        reach = random.uniform(45, 80) * np.ones(MERIDIANS)
        droop = random.uniform(0.05, 0.4) + 0.1 * np.cos(2 * angle + random.uniform(0, 6.3))
    rows = np.linspace(0.0, 1.0, 9)[:, None, None]
    sheet = edge[None] + rows * reach[None, :, None] * flat[None]
    sheet = sheet - rows * (reach * droop)[None, :, None] * [0.0, 1.0, 0.0]
    used = np.flatnonzero(reach > 0.5)
    triangles = grid_triangles(9, MERIDIANS, wrap=True)
    mask = np.isin(triangles % MERIDIANS, used).all(axis=1)
    return sheet.reshape(-1, 3), triangles[mask]


def _smoothed(line: NDArray) -> NDArray[np.float64]:
    """A closed line (n, 3) without its steps."""
    for _ in range(12):
        line = 0.5 * line + 0.25 * (np.roll(line, 1, axis=0) + np.roll(line, -1, axis=0))
    return line
