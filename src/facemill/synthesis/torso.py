"""Neck, shoulders and a garment below the cut of the head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from facemill.models.head_builder.skin import smooth_noise
from facemill.synthesis.accessory import CLOTHES, SKIN
from facemill.synthesis.layers import Layer, area_normals
from facemill.synthesis.sky import COUNT, SkyMaps

_ROWS_OF_SKIN, _ROWS_OF_CLOTH = 14, 26
_FINE = 96  # steps in which the outline is evaluated
_PIVOT = np.array([0.0, -110.0, -100.0])
# Rings from the throat to the belly: share of the way down; half width and half depth; place in depth;
# height at the sides, in front and behind; roundness. Millimetres, head frame of an average person.
_RINGS = np.array(
    [
        [0.18, 60.0, 57.0, -98.0, -122.0, -114.0, -140.0, 1.0],
        [0.38, 67.0, 63.0, -102.0, -144.0, -152.0, -158.0, 1.0],
        [0.52, 106.0, 78.0, -106.0, -160.0, -186.0, -178.0, 0.95],
        [0.68, 166.0, 92.0, -106.0, -184.0, -226.0, -220.0, 0.85],
        [0.84, 206.0, 106.0, -106.0, -230.0, -290.0, -290.0, 0.8],
        [1.00, 225.0, 122.0, -106.0, -900.0, -900.0, -900.0, 0.8],
    ]
)


@dataclass(frozen=True)
class Garment:
    """What somebody wears, and how they hold themselves.

    Attributes:
        colours: (2, 3) file values; stripe: millimetres between changes, 0 = plain.
        collar: share of the way down at which it begins; dip: how much lower it begins in front.
        breadth: of the shoulders, 1 = average; thickness: of the cloth, millimetres.
        weave: strength of its unevenness.
        seed: of the folds.
    """

    colours: NDArray[np.float64]
    stripe: float
    collar: float
    dip: float
    breadth: float
    thickness: float
    weave: float
    seed: int


def random_garment(random: np.random.Generator) -> Garment:
    """Draw one."""
    lightness = 0.05 + 0.72 * random.beta(0.9, 1.2)
    tint = random.normal(0, 0.15 * random.beta(1.0, 2.0), 3)
    first = np.clip(lightness + tint - tint.mean(), 0.02, 0.85)
    second = np.clip(first + random.normal(0, 0.3) + random.normal(0, 0.06, 3), 0.02, 0.85)
    return Garment(
        colours=np.stack([first, second]),
        stripe=float(random.choice([0.0, random.uniform(8, 45)], p=[0.78, 0.22])),
        collar=float(random.uniform(0.22, 0.50)),
        dip=float(random.choice([0.0, random.uniform(0.05, 0.28)])),
        breadth=float(random.normal(1.0, 0.06)),
        thickness=float(random.uniform(1.5, 6.0)),
        weave=float(random.uniform(0.005, 0.05)),
        seed=int(random.integers(2**31)),
    )


def neck_ring(triangles: NDArray, height: NDArray) -> NDArray[np.int64]:
    """Vertex ids around the cut of the neck, in order: the open border whose points lie lowest.

    Args:
        triangles: (F, 3); height: (V,).
    """
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    keys = np.sort(edges, axis=1)
    _, inverse, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    following = dict(edges[counts[inverse] == 1].tolist())
    rings, placed = [], set()
    for start in following:
        if start in placed:
            continue
        ring = [start]
        while following[ring[-1]] != start:
            ring.append(following[ring[-1]])
        placed.update(ring)
        rings.append(np.array(ring))
    return min(rings, key=lambda ring: float(height[ring].mean()))


def torso(
    head: Layer, ring: NDArray[np.int64], garment: Garment, turn: NDArray, tone: NDArray, maps: SkyMaps
) -> Layer:
    """The layer below the ring of a head.

    Args:
        head: the posed head; its colours and openness continue at the ring.
        ring: of `neck_ring`.
        turn: (3, 3) rotation of the shoulders within the head frame.
        tone: (3,) colour of the skin of the throat.
        maps: of what keeps the sky from the shoulders.
    """
    random = np.random.default_rng(garment.seed)
    top = head.vertices[ring].astype(np.float64)
    around = np.arctan2(top[:, 0], top[:, 2] + 100.0)
    across, front = np.sin(around), np.cos(around)
    girth = float(np.ptp(top[:, 0]) / 112.0)
    rings = [top]
    for _, wide, deep, place, side, chest, back, power in _RINGS:
        broad = girth if wide < 70 else garment.breadth
        x = broad * wide * np.sign(across) * np.abs(across) ** power
        z = place + deep * np.sign(front) * np.abs(front) ** power
        ends = np.where(front > 0, chest, back)
        rings.append(np.stack([x, side + (ends - side) * np.abs(front) ** 1.5, z], axis=1))
    curve = PchipInterpolator([0.0, *_RINGS[:, 0]], np.stack(rings))(np.linspace(0, 1, _FINE))
    collar = garment.collar + garment.dip * np.clip(front, 0, 1) ** 3
    skin_rows = np.linspace(0, 1, _ROWS_OF_SKIN)[:, None] * collar
    cloth_rows = collar + np.linspace(0, 1, _ROWS_OF_CLOTH)[:, None] ** 1.2 * (1 - collar)
    share = np.concatenate([skin_rows, cloth_rows])
    before = np.minimum((share * (_FINE - 1)).astype(int), _FINE - 2)
    columns, rest = np.arange(len(ring)), (share * (_FINE - 1) - before)[..., None]
    points = curve[before, columns] * (1 - rest) + curve[before + 1, columns] * rest
    cloth = np.arange(len(share)) >= _ROWS_OF_SKIN
    outward = np.stack([across, np.zeros_like(across), front], axis=1)
    folds = smooth_noise(points.reshape(-1, 3), 60.0, random).reshape(points.shape[:2])
    ease = np.clip((share - collar) * 6, 0, 1)
    points += (cloth[:, None] * (garment.thickness + ease * (2.0 + 2.5 * folds)))[..., None] * outward
    # The neck twists between the head and the shoulders.
    weight = np.clip(share / 0.45, 0, 1)[..., None]
    weight = weight * weight * (3 - 2 * weight)
    points += weight * ((points - _PIVOT) @ turn.T + _PIVOT - points)
    return _layer(head, ring, garment, random, points.astype(np.float32), share, cloth, tone, maps)


def _layer(
    head: Layer,
    ring: NDArray,
    garment: Garment,
    random: np.random.Generator,
    points: NDArray[np.float32],
    share: NDArray,
    cloth: NDArray[np.bool_],
    tone: NDArray,
    maps: SkyMaps,
) -> Layer:
    """Triangles and materials of a grid of points (rows, ring, 3); tone: (3,) of the skin."""
    rows, count = points.shape[:2]
    place = np.arange(rows * count).reshape(rows, count)
    # The border of the head runs clockwise seen from below, so this way round the outside is outside.
    a, b = place[:-1], np.roll(place, -1, axis=1)[:-1]
    c, d = np.roll(place, -1, axis=1)[1:], place[1:]
    triangles = np.concatenate([np.stack([b, a, d], -1), np.stack([b, d, c], -1)]).reshape(-1, 3)
    labels = np.tile(np.where(cloth[1:], CLOTHES, SKIN).repeat(count), 2).astype(np.uint8)
    flat = points.reshape(-1, 3)
    normals = area_normals(flat, triangles)
    normals[:count] = head.normals[ring]
    skin = head.colours[ring] + (tone - head.colours[ring]) * np.clip(share * 8, 0, 1)[..., None]
    pattern = np.zeros((rows, count))
    if garment.stripe > 0:
        pattern = (np.floor(points[..., 1] / garment.stripe) % 2).astype(float)
    dyed = garment.colours[0] + pattern[..., None] * (garment.colours[1] - garment.colours[0])
    uneven = 1 + garment.weave * random.standard_normal((rows, count, 1))
    colours = np.where(cloth[:, None, None], dyed * uneven, skin)
    # Near the cut the coarse maps would see the neck in its own way.
    seen = maps.open_share(flat, normals).reshape(rows, count, COUNT)
    sky = head.sky[ring] + (seen - head.sky[ring]) * np.clip(share * 5, 0, 1)[..., None]
    on_cloth = np.repeat(cloth, count)
    return Layer(
        flat,
        normals,
        triangles,
        labels,
        np.ones(len(labels), dtype=np.bool_),
        np.clip(colours, 0.01, 0.98).reshape(-1, 3).astype(np.float32),
        np.where(on_cloth, 0.15, float(head.gloss[ring].mean())).astype(np.float32),
        np.where(on_cloth, 0.8, 0.45).astype(np.float32),
        np.where(on_cloth, 0.0, 1.0).astype(np.float32),
        np.ascontiguousarray(sky.reshape(-1, COUNT), dtype=np.float32),
    )
