"""A thing on or before the face, and the simple meshes such things are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: What a pixel can show.
BACKGROUND, SKIN, HAIR, FACIAL_HAIR, EYES, MOUTH, GLASSES, HAT, OCCLUDER, CLOTHES = range(10)

Meshed = tuple[NDArray[np.float64], NDArray[np.int64]]


@dataclass(frozen=True)
class Accessory:
    """A mesh to draw with a head; both sides of its triangles may be seen.

    Attributes:
        name: kind and style, `hair_short`, `glasses_round`, ...
        label: what its pixels are, `HAIR`, `GLASSES`, `HAT`, `OCCLUDER` or `CLOTHES`.
        vertices: (n, 3) float32, head frame, millimetres.
        triangles: (m, 3) int64.
        colours: (n, 3) float32, 0..1, file values.
        specular: 0 dull .. 1 like polished plastic.
    """

    name: str
    label: int
    vertices: NDArray[np.float32]
    triangles: NDArray[np.int64]
    colours: NDArray[np.float32]
    specular: float


def accessory(name: str, label: int, mesh: Meshed, colours: NDArray, specular: float = 0.1) -> Accessory:
    """Build one; `colours` (n, 3) or one colour (3,). Vertices of no triangle are dropped."""
    vertices, triangles = mesh
    used = np.zeros(len(vertices), dtype=bool)
    used[triangles] = True
    renumbered = (np.cumsum(used) - 1)[triangles]
    spread = np.broadcast_to(np.clip(colours, 0.01, 0.98), vertices.shape)[used]
    return Accessory(
        name,
        label,
        vertices[used].astype(np.float32),
        renumbered.astype(np.int64),
        np.ascontiguousarray(spread, dtype=np.float32),
        specular,
    )


def joined(pieces: Sequence[Meshed]) -> Meshed:
    """Several meshes as one."""
    starts = np.cumsum([0, *(len(vertices) for vertices, _ in pieces)])
    return (
        np.concatenate([vertices for vertices, _ in pieces]),
        np.concatenate([triangles + start for (_, triangles), start in zip(pieces, starts, strict=False)]),
    )


def grid_triangles(rows: int, columns: int, wrap: bool = False) -> NDArray[np.int64]:
    """Triangles of a grid of points numbered row by row; `wrap` joins the last column to the first."""
    across = columns if wrap else columns - 1
    row, column = np.meshgrid(np.arange(rows - 1), np.arange(across), indexing="ij")
    right = (column + 1) % columns
    a, b = row * columns + column, row * columns + right
    c, d = (row + 1) * columns + right, (row + 1) * columns + column
    return np.stack([a, d, c, a, c, b], axis=-1).reshape(-1, 3)


def tube(path: NDArray, radius: NDArray | float, sides: int = 8, flat: float = 1.0) -> Meshed:
    """A tube round a line (n, 3) of given radius (n,), rounded off at its ends.

    Args:
        flat: thickness along the vertical against the thickness across, for temples of spectacles.
    """
    radii = np.broadcast_to(np.asarray(radius, dtype=np.float64), len(path))
    direction = np.gradient(path, axis=0)
    direction /= np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-9)
    up = np.where(np.abs(direction[:, 1:2]) > 0.9, [[0.0, 0.0, 1.0]], [[0.0, 1.0, 0.0]])
    across = np.cross(up, direction)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    other = np.cross(direction, across)
    caps = ((1.0, 0.15), (0.75, 0.75), (0.0, 1.0))  # along the axis and across, in radii
    first = [path[0] - direction[0] * radii[0] * along for along, _ in caps]
    last = [path[-1] + direction[-1] * radii[-1] * along for along, _ in reversed(caps)]
    centres = np.concatenate([first, path, last])
    shares = np.array([a for _, a in caps] + [1.0] * len(path) + [a for _, a in reversed(caps)])
    index = np.array([0] * 3 + list(range(len(path))) + [len(path) - 1] * 3)
    angle = 2 * np.pi * np.arange(sides) / sides
    ring = (
        np.cos(angle)[None, :, None] * across[index][:, None]
        + flat * np.sin(angle)[None, :, None] * other[index][:, None]
    )
    points = centres[:, None] + ring * (radii[index] * shares)[:, None, None]
    return points.reshape(-1, 3), grid_triangles(len(centres), sides, wrap=True)[:, ::-1]


def closed_tube(path: NDArray, radius: NDArray | float, sides: int = 8) -> Meshed:
    """A tube round a closed line (n, 3) that lies about in one plane of constant z."""
    following = np.roll(path, -1, axis=0) - np.roll(path, 1, axis=0)
    direction = following / np.linalg.norm(following, axis=1, keepdims=True)
    across = np.cross(direction, [0.0, 0.0, 1.0])
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    other = np.cross(direction, across)
    angle = 2 * np.pi * np.arange(sides) / sides
    ring = np.cos(angle)[None, :, None] * across[:, None] + np.sin(angle)[None, :, None] * other[:, None]
    radii = np.broadcast_to(np.asarray(radius, dtype=np.float64), len(path))
    points = path[:, None] + ring * radii[:, None, None]
    looped = np.concatenate([points, points[:1]])
    return looped.reshape(-1, 3), grid_triangles(len(looped), sides, wrap=True)[:, ::-1]


def smooth_path(corners: NDArray, count: int) -> NDArray[np.float64]:
    """A Catmull-Rom line of `count` points through the corners (n, 3)."""
    padded = np.concatenate([2 * corners[:1] - corners[1:2], corners, 2 * corners[-1:] - corners[-2:-1]])
    place = np.linspace(0, len(corners) - 1, count)
    piece = np.minimum(place.astype(int), len(corners) - 2)
    t = (place - piece)[:, None]
    a, b, c, d = (padded[piece + k] for k in range(4))
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
