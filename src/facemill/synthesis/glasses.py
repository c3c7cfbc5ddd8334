"""Spectacles: rims before the eyes, a bridge on the nose, temples to the ears; dark lenses on some."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facemill.synthesis.accessory import (
    GLASSES,
    Accessory,
    Meshed,
    accessory,
    closed_tube,
    joined,
    smooth_path,
    tube,
)
from facemill.synthesis.height_map import HeightMap

#: Rim outlines: exponent of the superellipse, half width, half height (mm), drop of the lower outer half.
SHAPES = {
    "round": (2.0, 23.0, 22.0, 0.0),
    "oval": (2.2, 26.0, 17.0, 0.0),
    "rectangular": (5.0, 27.0, 15.5, 0.0),
    "square": (4.0, 26.0, 21.0, 0.0),
    "aviator": (2.8, 28.0, 23.0, 3.5),
    "cat_eye": (2.8, 27.0, 18.0, -3.0),
}
_FRAMES = np.array(
    [[0.03, 0.03, 0.035], [0.10, 0.06, 0.04], [0.30, 0.18, 0.08], [0.55, 0.52, 0.50], [0.62, 0.50, 0.25]]
)
_CLEARANCE = 2.0  # mm between rims and skin
_EARS = (np.array([77.0, 26.0, -82.0]), np.array([80.0, 10.0, -97.0]))  # mean head: on and behind the root
_POINTS = 48


def glasses(
    shape: NDArray, rest: NDArray, landmarks: NDArray, skin: NDArray, random: np.random.Generator
) -> Accessory:
    """Spectacles on a person's shape.

    Args:
        shape, rest: (V, 3) of the person and of the mean head.
        landmarks: (68,) vertex ids.
        skin: (V,) bool, outer skin without ears: what they must not cut.
    """
    style = str(random.choice(sorted(SHAPES)))
    points = shape.astype(np.float64)
    marks = points[landmarks]
    solid = points[skin]
    front = HeightMap(solid[:, :2], solid[:, 2])
    power, half_width, half_height, drop = SHAPES[style]
    eyes = np.stack([marks[36:42].mean(axis=0), marks[42:48].mean(axis=0)])
    gap = np.abs(eyes[:, 0] - eyes[:, 0].mean()).mean()
    scale = float(np.clip(gap / 31.0, 0.85, 1.15) * random.uniform(0.92, 1.08))
    half_width = min(half_width * scale, gap - 8.0)
    radius = float(random.choice([random.uniform(0.6, 0.9), random.uniform(1.1, 2.0)]))
    middle = eyes.mean(axis=0)
    angle = 2 * np.pi * np.arange(_POINTS) / _POINTS
    outline = _superellipse(angle, power) * [half_width, half_height * scale]
    outline[:, 1] -= (
        drop * np.clip(outline[:, 0] / half_width, -1, 1) * (1.0 if drop < 0 else outline[:, 1] < 0)
    )
    rims = []
    for side in (-1.0, 1.0):
        x = middle[0] + side * (gap + 1.0) + side * outline[:, 0]
        y = eyes[int(side > 0), 1] - 2.0 + outline[:, 1]
        bow = -0.0011 * (x - middle[0]) ** 2  # face form
        rims.append(np.stack([x, y, bow], axis=1))
    ahead = max(float((front.over(rim[:, :2], 2.5) - rim[:, 2]).max()) for rim in rims)
    bridge_top = np.array([middle[0], marks[27, 1] - 1.5])
    saddle = front.over(bridge_top[None], 2.5)[0] + 1.0 + radius
    depth = max(ahead + _CLEARANCE + radius, marks[[37, 44], 2].mean() + 9.0)
    for rim in rims:
        rim[:, 2] += depth
    pieces: list[Meshed] = [closed_tube(rim, radius) for rim in rims]
    inner = [rim[np.argmin(np.abs(rim[:, 0] - middle[0]) - 0.4 * rim[:, 1])] for rim in rims]
    top = np.array([*bridge_top, max(saddle, inner[0][2])])
    pieces.append(tube(smooth_path(np.stack([inner[0], top, inner[1]]), 12), radius))
    for side, rim in zip((-1.0, 1.0), rims, strict=True):
        pieces.append(tube(_temple(points, rest, solid, rim, side), max(radius, 0.9), flat=1.5))
    frame = _FRAMES[random.integers(len(_FRAMES))] * random.uniform(0.8, 1.2)
    if random.random() < 0.15:
        frame = random.uniform(0.05, 0.8, 3)
    colours = [np.tile(frame, (sum(len(vertices) for vertices, _ in pieces), 1))]
    dark = random.random() < 0.3
    if dark:
        lenses = [_lens(rim) for rim in rims]
        pieces += lenses
        tint = random.uniform(0.02, 0.10) * (1 + random.uniform(-0.3, 0.3, 3))
        colours.append(np.tile(tint, (sum(len(vertices) for vertices, _ in lenses), 1)))
    name = f"{'sunglasses' if dark else 'glasses'}_{style}"
    return accessory(name, GLASSES, joined(pieces), np.concatenate(colours), 0.8)


def _superellipse(angle: NDArray, power: float) -> NDArray[np.float64]:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.stack(
        [np.sign(cosine) * np.abs(cosine) ** (2 / power), np.sign(sine) * np.abs(sine) ** (2 / power)], axis=1
    )


def _temple(points: NDArray, rest: NDArray, solid: NDArray, rim: NDArray, side: float) -> NDArray[np.float64]:
    """From the hinge outside the head to the root of the ear and down behind it."""
    hinge = rim[np.argmax(side * rim[:, 0] + 0.5 * rim[:, 1])]
    ends = []
    for place in _EARS:
        vertex = int(np.argmin(((rest - place * [side, 1.0, 1.0]) ** 2).sum(axis=1)))
        ends.append(points[vertex] + [side * 1.5, 2.0, 0.0])
    corner = hinge + [side * 3.0, 0.0, -4.0]
    between = [corner + (ends[0] - corner) * share for share in (0.3, 0.6, 0.85)]
    path = smooth_path(np.stack([hinge, corner, *between, ends[0], ends[1]]), 28)
    half = solid[side * solid[:, 0] > 20.0]
    outside = HeightMap(half[:, 1:], side * half[:, 0]).over(path[:, 1:], 3.0)
    path[:, 0] = side * np.maximum(side * path[:, 0], np.where(np.arange(28) < 24, outside + 1.5, -np.inf))
    return path


def _lens(rim: NDArray) -> Meshed:
    rings = [rim.mean(axis=0) + (rim - rim.mean(axis=0)) * share for share in (0.02, 0.5, 1.0)]
    for ring, bulge in zip(rings, (1.6, 1.1, 0.0), strict=True):
        ring[:, 2] += bulge
    points = np.concatenate(rings)
    count = len(rim)
    index = np.arange(count)
    right = (index + 1) % count
    triangles = [
        np.stack(
            [
                row + index,
                row + count + index,
                row + count + right,
                row + index,
                row + count + right,
                row + right,
            ],
            axis=1,
        )
        for row in (0, count)
    ]
    return points, np.concatenate(triangles).reshape(-1, 3)
