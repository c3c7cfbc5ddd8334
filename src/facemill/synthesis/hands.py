"""A hand held to the face: palm, fingers and wrist as rounded tubes that lie on the person's own skin."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facemill.synthesis.accessory import OCCLUDER, Accessory, Meshed, accessory, joined, smooth_path, tube
from facemill.synthesis.height_map import HeightMap

#: Where the middle of the knuckles lies (mean head), the way the fingers point and the spread of the bend.
PLACES = {
    "cheek": ((52.0, -22.0, -18.0), (0.05, 1.0, -0.15)),
    "chin": ((16.0, -84.0, 4.0), (-0.85, 0.45, 0.25)),
    "mouth": ((14.0, -48.0, 14.0), (-1.0, 0.12, 0.0)),
    "forehead": ((26.0, 66.0, 14.0), (-1.0, 0.1, 0.05)),
    "temple": ((60.0, 22.0, -30.0), (-0.1, 1.0, 0.0)),
    "eye": ((52.0, 22.0, -6.0), (-0.95, 0.25, 0.2)),
}
_FINGERS = (
    (-30.0, 66.0, 8.2),
    (-10.0, 78.0, 8.8),
    (10.0, 73.0, 8.5),
    (28.0, 57.0, 7.4),
)  # across, length, radius
_PALM = 78.0  # mm from the knuckles to the wrist


def hand(
    shape: NDArray,
    rest: NDArray,
    skin: NDArray,
    place: str,
    colour: NDArray,
    random: np.random.Generator,
) -> Accessory:
    """A hand at a place of `PLACES`, on either side.

    Args:
        shape, rest: (V, 3) of the person and of the mean head.
        skin: (V,) bool, outer skin, on which the hand rests.
        colour: (3,) of the person's skin.
    """
    side = 1.0 if random.random() < 0.5 else -1.0
    anchor, direction = (np.array(vector) * [side, 1.0, 1.0] for vector in PLACES[place])
    anchor = anchor + random.normal(0, 4.0, 3) * [1.0, 1.0, 0.0]
    solid = shape[skin].astype(np.float64)
    origin, axes = _frame(solid, rest[skin], anchor, direction + random.normal(0, 0.15, 3))
    local = (solid - origin) @ axes.T
    lying = HeightMap(local[:, :2], local[:, 2], cell=3.0)
    bend = random.uniform(0.0, 0.5)
    gap = random.uniform(0.85, 1.35)
    size = random.uniform(0.88, 1.08)
    pieces: list[Meshed] = []
    shades: list[NDArray] = []
    for across, length, radius in _FINGERS:
        steps = np.linspace(0.0, 1.0, 13)
        bent = length * size * (steps - bend * 0.35 * steps**2)
        path = np.stack([across * size * side * (1 + 0.15 * (gap - 1) * steps) * gap**steps, bent], axis=1)
        thickness = radius * size * (1.0 - 0.22 * steps) * (1 + 0.05 * np.cos(2 * np.pi * 3 * steps))
        pieces.append(_laid(lying, path, thickness))
        shades.append(np.where(np.repeat(np.arange(19), 8) > 13, 1.06, 1.0))
    palm = [np.linspace(0.0, -_PALM * size, 9)] * 4
    for (across, _, radius), line in zip(_FINGERS, palm, strict=True):
        narrow = 1.0 - 0.25 * np.linspace(0, 1, 9)
        path = np.stack([across * size * side * narrow, line], axis=1)
        pieces.append(_laid(lying, path, (radius + 3.5) * size * np.ones(9)))
        shades.append(np.ones(15 * 8))
    thumb = smooth_path(np.array([[-34.0, -55.0], [-52.0, -28.0], [-56.0, 2.0], [-50.0, 22.0]]), 11)
    pieces.append(_laid(lying, thumb * size * [side, 1.0], np.linspace(13.0, 9.0, 11) * size))
    shades.append(np.ones(17 * 8))
    wrist = np.array(
        [[0.0, -_PALM * size + 12.0, 20.0], [0.0, -_PALM - 30.0, 24.0], [-side * 15, -_PALM - 190.0, 60.0]]
    )
    height = float(np.median(np.concatenate([vertices[:, 2] for vertices, _ in pieces[4:8]])))
    wrist[:, 2] += height - 18.0
    pieces.append(tube(smooth_path(wrist, 14), np.linspace(26.0, 38.0, 14) * size, sides=16, flat=0.8))
    shades.append(np.ones(20 * 16))
    vertices, triangles = joined(pieces)
    tint = colour * random.uniform(0.85, 1.08) * np.array([1.02, 0.97, 0.96])
    noise = (
        1 + 0.04 * np.sin(vertices @ random.normal(0, 0.12, (3, 6)) + random.uniform(0, 6, 6)).sum(axis=1) / 2
    )
    colours = tint * (np.concatenate(shades) * noise)[:, None]
    return accessory(f"hand_{place}", OCCLUDER, (vertices @ axes + origin, triangles), colours, 0.15)


def _frame(
    solid: NDArray, rest: NDArray, anchor: NDArray, direction: NDArray
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Origin on the skin, and rows across, along the fingers, away from the face."""
    distance = np.linalg.norm(rest - anchor, axis=1)
    origin = solid[np.argmin(distance)]
    around = solid[np.argsort(distance)[:400]]
    normal = np.linalg.svd(around - around.mean(axis=0), full_matrices=False)[2][2]
    away = origin - [0.0, 0.0, -70.0]
    normal = normal * np.sign(normal @ away) + 0.4 * away / np.linalg.norm(away)
    normal /= np.linalg.norm(normal)
    along = direction - normal * (direction @ normal)
    along /= np.linalg.norm(along)
    return origin, np.stack([np.cross(along, normal), along, normal])


def _laid(skin: HeightMap, path: NDArray, radius: NDArray) -> Meshed:
    """A tube along a line (n, 2) of the frame's plane, lifted so that it lies on the skin."""
    height = skin.over(path, radius)
    low = height[np.isfinite(height)].min() if np.isfinite(height).any() else 0.0
    height = np.where(np.isfinite(height), height, low - 4.0)
    # Fingers are stiff: they bridge hollows instead of following them.
    for _ in range(3):
        smoothed = np.convolve(np.pad(height, 2, mode="edge"), np.full(5, 0.2), mode="valid")
        height = np.maximum(height, smoothed)
    height = height + radius * 0.92
    line = np.concatenate([path, height[:, None]], axis=1)
    return tube(line, radius, sides=8)
