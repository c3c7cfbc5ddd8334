"""What stands behind the head: walls, rooms, gardens and lights, out of focus."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

KINDS = ("wall", "room", "garden", "lights", "studio", "street")
SHARES = (0.20, 0.24, 0.20, 0.10, 0.12, 0.14)
_WORK = 96  # pixels of the longer side while structures are drawn; all of them end up blurred

_LEAST_BLUR = {"wall": 3.0, "studio": 3.0, "lights": 1.3}

Picture = NDArray[np.float32]


def random_background(random: np.random.Generator, size: tuple[int, int]) -> Picture:
    """A picture (height, width, 3) float32, file values 0..1."""
    kind = str(random.choice(KINDS, p=SHARES))
    height, width = (max(8, round(side * _WORK / max(size))) for side in size)
    drawn = _MAKERS[kind](random, height, width)
    blur = float(np.exp(random.uniform(np.log(0.5), np.log(7.0))))
    blur = max(blur, _LEAST_BLUR.get(kind, 0.0))
    soft = cv2.GaussianBlur(drawn, (0, 0), blur, borderType=cv2.BORDER_REFLECT)
    large = cv2.resize(soft, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
    if blur < 2.0:
        large = large + _noise(random, size, 3, float(random.uniform(0.0, 0.05)))[..., None]
    return np.asarray(np.clip(large, 0.0, 1.0), dtype=np.float32)


def _colour(random: np.random.Generator, low: float, high: float, saturation: float) -> Picture:
    """A colour (3,) of a lightness between two, 0..1."""
    tint = random.normal(0, saturation, 3)
    return np.clip(random.uniform(low, high) + tint - tint.mean(), 0.01, 1.0).astype(np.float32)


def _noise(random: np.random.Generator, size: tuple[int, int], octaves: int, strength: float) -> Picture:
    """Smooth noise (height, width), deviation about `strength`."""
    total = np.zeros(size, np.float32)
    for octave in range(octaves):
        cells = 3 * 2**octave
        grid = random.standard_normal((cells + 1, cells + 1)).astype(np.float32)
        total += cv2.resize(grid, (size[1], size[0]), interpolation=cv2.INTER_CUBIC) * 0.6**octave
    return total * strength


def _ramp(random: np.random.Generator, height: int, width: int, first: Picture, second: Picture) -> Picture:
    """From one colour to another in a random direction."""
    turn = random.uniform(0, 2 * np.pi)
    rows = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None]
    columns = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None]
    share = np.clip(0.5 + np.float32(np.cos(turn)) * columns + np.float32(np.sin(turn)) * rows, 0, 1)
    return first + (second - first) * share[..., None]


def _wall(random: np.random.Generator, height: int, width: int) -> Picture:
    first = _colour(random, 0.25, 0.95, 0.06)
    second = np.clip(first * random.uniform(0.6, 1.1), 0, 1).astype(np.float32)
    return _ramp(random, height, width, first, second) + _noise(random, (height, width), 3, 0.02)[..., None]


def _studio(random: np.random.Generator, height: int, width: int) -> Picture:
    colour = _colour(random, 0.05, 0.9, 0.08)
    rows = np.linspace(-1, 1, height, dtype=np.float32)[:, None] - np.float32(random.normal(0, 0.3))
    columns = np.linspace(-1, 1, width, dtype=np.float32)[None] - np.float32(random.normal(0, 0.3))
    glow = np.exp(-(rows**2 + columns**2) / np.float32(random.uniform(0.5, 2.5)))
    return colour * (0.55 + np.float32(random.uniform(0.1, 0.6)) * glow)[..., None]


def _boxes(
    random: np.random.Generator, picture: Picture, count: int, low: float, high: float, saturation: float
) -> None:
    """Draw upright boxes: furniture, doors, frames, windows, signs."""
    height, width = picture.shape[:2]
    for _ in range(count):
        wide, tall = random.uniform(0.05, 0.5) * width, random.uniform(0.05, 0.7) * height
        left, top = random.uniform(-0.1, 1.0) * width, random.uniform(-0.1, 1.0) * height
        colour = tuple(map(float, _colour(random, low, high, saturation)))
        corner = (int(left + wide), int(top + tall))
        cv2.rectangle(picture, (int(left), int(top)), corner, colour, -1)
        if random.random() < 0.4:
            edge = tuple(float(0.6 * channel) for channel in colour)
            cv2.rectangle(picture, (int(left), int(top)), corner, edge, 1)


def _room(random: np.random.Generator, height: int, width: int) -> Picture:
    picture = _ramp(random, height, width, _colour(random, 0.3, 0.85, 0.05), _colour(random, 0.2, 0.75, 0.05))
    _boxes(random, picture, int(random.integers(3, 12)), 0.05, 0.8, 0.09)
    if random.random() < 0.35:
        _boxes(random, picture, 1, 0.9, 1.0, 0.03)
    return picture


def _street(random: np.random.Generator, height: int, width: int) -> Picture:
    picture = _ramp(random, height, width, _colour(random, 0.5, 0.9, 0.04), _colour(random, 0.3, 0.6, 0.04))
    horizon = int(height * random.uniform(0.4, 0.9))
    picture[horizon:] = _colour(random, 0.25, 0.6, 0.03)
    _boxes(random, picture, int(random.integers(6, 22)), 0.1, 0.75, 0.07)
    return picture


def _garden(random: np.random.Generator, height: int, width: int) -> Picture:
    leaves = random.uniform([0.20, 0.26, 0.13], [0.42, 0.46, 0.32]).astype(np.float32)
    texture = np.clip(1 + _noise(random, (height, width), 5, 0.45), 0.1, 2.2)[..., None]
    picture = leaves * texture
    if random.random() < 0.6:
        sky = random.uniform([0.55, 0.65, 0.75], [0.95, 0.97, 1.0]).astype(np.float32)
        rows = np.linspace(0, 1, height, dtype=np.float32)[:, None]
        line = random.uniform(0.1, 0.6) + _noise(random, (height, width), 4, 0.12)
        share = np.clip((line - rows) * 8, 0, 1)[..., None]
        picture = picture + (sky - picture) * share
    return np.ascontiguousarray(picture, dtype=np.float32)


def _lights(random: np.random.Generator, height: int, width: int) -> Picture:
    picture = _ramp(
        random, height, width, _colour(random, 0.02, 0.15, 0.02), _colour(random, 0.02, 0.25, 0.03)
    )
    radius = random.uniform(0.01, 0.07) * max(height, width)
    for _ in range(int(random.integers(8, 50))):
        place = (int(random.uniform(0, width)), int(random.uniform(0, height)))
        colour = tuple(map(float, _colour(random, 0.4, 1.0, 0.25)))
        cv2.circle(picture, place, max(1, int(radius * random.uniform(0.5, 1.3))), colour, -1, cv2.LINE_AA)
    return picture


_MAKERS = {
    "wall": _wall,
    "room": _room,
    "garden": _garden,
    "lights": _lights,
    "studio": _studio,
    "street": _street,
}
