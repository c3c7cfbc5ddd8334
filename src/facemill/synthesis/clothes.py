"""What covers neck and shoulders, and masks over mouth and nose."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facemill.geometry.mesh import boundary_edges
from facemill.models.head_builder.parts import SKIN
from facemill.models.head_builder.skin_points import smooth_step
from facemill.synthesis.accessory import (
    CLOTHES,
    OCCLUDER,
    Accessory,
    accessory,
    closed_tube,
    grid_triangles,
    joined,
)
from facemill.synthesis.anatomy import Anatomy
from facemill.synthesis.hats import cloth_colour
from facemill.synthesis.height_map import HeightMap

_COLUMNS = 72
#: Down from the cut of the neck: drop, and half width and depth of the body (mm).
_BODY = (
    (-12.0, 1.06, 1.06),
    (0.0, 1.10, 1.10),
    (14.0, 1.25, 1.15),
    (30.0, 1.9, 1.30),
    (52.0, 2.8, 1.45),
    (85.0, 3.3, 1.6),
    (150.0, 3.5, 1.75),
    (330.0, 3.5, 1.9),
)


def neck_line(anatomy: Anatomy, count: int = _COLUMNS) -> NDArray[np.int64]:
    """Vertex ids (count,) along the cut of the neck, in order of the angle about the vertical."""
    rim = np.unique(boundary_edges(anatomy.triangles))
    rim = rim[(anatomy.part[rim] == SKIN) & (anatomy.pocket[rim] == 0)]
    offset = anatomy.mean[rim] - anatomy.mean[rim].mean(axis=0)
    angle = np.arctan2(offset[:, 0], offset[:, 2])
    wanted = 2 * np.pi * np.arange(count) / count - np.pi
    apart = np.abs(np.angle(np.exp(1j * (angle[None] - wanted[:, None]))))
    return rim[np.argmin(apart, axis=1)]


def top(shape: NDArray, ring: NDArray, random: np.random.Generator) -> Accessory:
    """A shirt or pullover from the neck down; `ring` of `neck_line`."""
    line = shape[ring].astype(np.float64)
    for _ in range(6):
        line = 0.5 * line + 0.25 * (np.roll(line, 1, axis=0) + np.roll(line, -1, axis=0))
    centre = line.mean(axis=0)
    offset = line - centre
    wide = random.uniform(0.92, 1.08)
    collar = random.uniform(-6.0, 16.0)
    rows = []
    for drop, width, depth in _BODY:
        flare = smooth_step(np.array(drop), 0.0, 60.0)
        row = centre + offset * [width * (wide if drop > 20 else 1.0), 1.0 - flare, depth]
        sag = 26.0 * flare * (np.abs(offset[:, 0]) / np.abs(offset[:, 0]).max()) ** 2
        row[:, 1] -= drop + sag - (collar if drop < 10 else 0.0)
        rows.append(row)
    points = np.stack(rows)
    colour = cloth_colour(random)
    folds = np.sin(np.arange(_COLUMNS) * random.uniform(0.5, 1.2) + random.uniform(0, 6))[None]
    shade = 1 + 0.06 * folds * np.linspace(0, 1, len(rows))[:, None]
    shade[:2] *= random.uniform(0.8, 1.15)
    triangles = grid_triangles(len(rows), _COLUMNS, wrap=True)
    colours = colour * shade.reshape(-1, 1)
    return accessory("top", CLOTHES, (points.reshape(-1, 3), triangles), colours, 0.05)


def scarf(shape: NDArray, ring: NDArray, random: np.random.Generator) -> Accessory:
    """Two thick rolls round the neck."""
    line = shape[ring].astype(np.float64)
    for _ in range(10):
        line = 0.5 * line + 0.25 * (np.roll(line, 1, axis=0) + np.roll(line, -1, axis=0))
    centre = line.mean(axis=0)
    radius = random.uniform(16, 24)
    pieces = []
    for lift, grow in ((6.0, 0.75), (-16.0, 1.0)):
        outward = (line - centre) * [1.0, 0.0, 1.0]
        outward /= np.linalg.norm(outward, axis=1, keepdims=True)
        wobble = 1 + 0.1 * np.sin(np.arange(len(line)) * 2 * np.pi * 5 / len(line) + random.uniform(0, 6))
        path = line + outward * (radius * grow + 1.0) + [0.0, lift, 0.0]
        flat = path[:, [0, 2, 1]] * [1.0, -1.0, 1.0]  # closed tubes lie in planes of constant z
        vertices, triangles = closed_tube(flat, radius * grow * wobble, sides=12)
        pieces.append((vertices[:, [0, 2, 1]] * [1.0, 1.0, -1.0], triangles))
    mesh = joined(pieces)
    colour, second = cloth_colour(random), cloth_colour(random)
    stripe = (np.sin(np.arange(len(mesh[0])) * random.uniform(0.02, 0.5)) > 0.3)[:, None]
    return accessory("scarf", CLOTHES, mesh, np.where(stripe, second, colour), 0.03)


def face_mask(shape: NDArray, landmarks: NDArray, skin: NDArray, random: np.random.Generator) -> Accessory:
    """A mask over mouth and nose, stretched over what stands out.

    Args:
        shape: (V, 3) of the person; landmarks: (68,) vertex ids; skin: (V,) bool, what it lies on.
    """
    marks = shape[landmarks].astype(np.float64)
    solid = shape[skin].astype(np.float64)
    rows, columns = 30, 35
    top_y = marks[28, 1] + random.uniform(-7.0, 5.0)
    low_y = marks[8, 1] - random.uniform(-2.0, 5.0)
    share = np.linspace(0.0, 1.0, rows)[:, None]
    across = np.linspace(-1.0, 1.0, columns)[None]
    half = random.uniform(50.0, 58.0) * (1 - 0.32 * share**2) * (1 - 0.25 * (1 - share) ** 4)
    x = marks[30, 0] + half * across
    y = top_y + (low_y - top_y) * share - (8.0 * (1 - share) - 10.0 * share) * across**2
    places = np.stack([x, y], axis=-1).reshape(-1, 2)
    floor = HeightMap(solid[:, :2], solid[:, 2]).over(places, 2.6).reshape(rows, columns)
    floor = np.where(np.isfinite(floor), floor, np.min(floor[np.isfinite(floor)])) + 1.8
    cloth = floor.copy()
    for _ in range(160):  # stretched cloth smooths itself but cannot sink below what it covers
        mean = 0.25 * (cloth[:-2, 1:-1] + cloth[2:, 1:-1] + cloth[1:-1, :-2] + cloth[1:-1, 2:])
        cloth[1:-1, 1:-1] = np.maximum(floor[1:-1, 1:-1], mean)
    points = np.stack([x, y, cloth], axis=-1).reshape(-1, 3)
    colour = np.array([0.62, 0.74, 0.82]) if random.random() < 0.5 else cloth_colour(random)
    pleats = 1 - 0.08 * (np.sin(share * 2 * np.pi * 5 + random.uniform(0, 6)) > 0.8) + 0.0 * across
    triangles = grid_triangles(rows, columns)
    return accessory("mask", OCCLUDER, (points, triangles), colour * pleats.reshape(-1, 1), 0.02)
