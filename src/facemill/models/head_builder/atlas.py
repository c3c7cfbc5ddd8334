"""The texture atlas of the head: a large chart of the face, small ones for all the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from facemill.geometry.uv import parameterize
from facemill.models.head_builder.parts import (
    LEFT_EYE,
    LOWER_TEETH,
    RIGHT_EYE,
    TONGUE,
    UPPER_TEETH,
    HeadParts,
)
from facemill.models.head_surface import HeadSurface

#: Left, bottom, width, height of the rectangle of each chart, in units of the texture.
_PLACES = {
    "face": (0.003, 0.003, 0.700, 0.994),
    "rest of the skin": (0.706, 0.706, 0.291, 0.291),
    "left eye front": (0.706, 0.557, 0.145, 0.145),
    "right eye front": (0.852, 0.557, 0.145, 0.145),
    "mouth": (0.706, 0.408, 0.145, 0.145),
    "upper teeth": (0.852, 0.408, 0.145, 0.145),
    "lower teeth": (0.706, 0.259, 0.145, 0.145),
    "tongue above": (0.852, 0.259, 0.145, 0.145),
    "tongue below": (0.706, 0.110, 0.145, 0.145),
    "left eye back": (0.852, 0.110, 0.145, 0.145),
    "right eye back": (0.706, 0.008, 0.095, 0.095),
    "left socket": (0.804, 0.008, 0.095, 0.095),
    "right socket": (0.902, 0.008, 0.095, 0.095),
}


@dataclass(frozen=True)
class Atlas:
    """uv (T, 2), v up; uv_triangles (F, 3) rows of `uv`, in the order of the surface's triangles."""

    uv: NDArray[np.float32]
    uv_triangles: NDArray[np.int64]


def lay_out(parts: HeadParts, surface: HeadSurface, mean: NDArray) -> Atlas:
    """Cut the surface into charts and lay each flat; the face gets most of the texture.

    Args:
        mean: (V, 3) millimetres.
    """
    charts = _charts(parts, surface, mean)
    uv = np.zeros((0, 2))
    uv_triangles = np.zeros_like(surface.triangles)
    for number, (left, bottom, width, height) in enumerate(_PLACES.values()):
        mine = charts == number
        used, local = np.unique(surface.triangles[mine], return_inverse=True)
        local = local.reshape(-1, 3)
        flat = parameterize(mean[used], local, aspect=width / height, margin=0.0)
        if number == 0:
            flat = _evened(_evened(flat, mean[used], local), mean[used], local)
        low, high = flat.min(axis=0), flat.max(axis=0)
        margin = 0.02 if width < 0.2 else 0.005
        flat = (margin + (1 - 2 * margin) * (flat - low) / (high - low)) * [width, height] + [left, bottom]
        uv_triangles[mine] = local + len(uv)
        uv = np.concatenate([uv, flat])
    return Atlas(uv.astype(np.float32), uv_triangles)


def _evened(flat: NDArray, shape: NDArray, triangles: NDArray) -> NDArray[np.float64]:
    """Move whole columns and rows of a chart apart where the surface is drawn together, by monotone maps.

    A monotone map of u alone, or of v alone, keeps the chart one-to-one; features in the middle of the face,
    which springs pull together, get back their share of the texture.
    """
    corners, space = flat[triangles], shape[triangles]
    inverse = np.linalg.inv(np.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]], axis=-1))
    sides = np.stack([space[:, 1] - space[:, 0], space[:, 2] - space[:, 0]], axis=-1)
    lengths = np.linalg.norm(sides @ inverse, axis=1)
    middle = corners.mean(axis=1)
    evened = np.empty_like(flat)
    for axis in range(2):
        edges = np.linspace(flat[:, axis].min(), flat[:, axis].max(), 41)
        column = np.clip(np.searchsorted(edges, middle[:, axis]) - 1, 0, 39)
        typical = np.array([np.median(lengths[column == bin_, axis]) for bin_ in range(40)])
        typical = np.convolve(np.pad(typical, 2, mode="edge"), np.ones(5) / 5, mode="valid") ** 0.7
        places = np.concatenate([[0.0], np.cumsum(typical)])
        evened[:, axis] = PchipInterpolator(edges, places / places[-1])(flat[:, axis])
    return evened


def _charts(parts: HeadParts, surface: HeadSurface, mean: NDArray) -> NDArray[np.int64]:
    """(F,) chart of each triangle, in the order of `_PLACES`. Whole base quads stay together."""
    part, pocket = parts.part, parts.pocket
    centres = np.zeros((len(parts.quads), 3))
    owners = surface.triangle_quads
    np.add.at(centres, owners, mean[surface.triangles].mean(axis=1))
    centres /= np.bincount(owners, minlength=len(parts.quads))[:, None]
    names = list(_PLACES)
    chart = np.where(parts.refined, names.index("face"), names.index("rest of the skin"))
    chart[pocket == 1] = names.index("mouth")
    chart[pocket == 2] = names.index("left socket")
    chart[pocket == 3] = names.index("right socket")
    chart[part == UPPER_TEETH] = names.index("upper teeth")
    chart[part == LOWER_TEETH] = names.index("lower teeth")
    for eye, name in ((LEFT_EYE, "left eye"), (RIGHT_EYE, "right eye")):
        mine = part == eye
        front = centres[:, 2] > 0.5 * (centres[mine, 2].min() + centres[mine, 2].max())
        chart[mine] = np.where(front[mine], names.index(f"{name} front"), names.index(f"{name} back"))
    tongue = part == TONGUE
    upward = _upward(parts.quads, surface, mean)
    chart[tongue] = np.where(upward[tongue], names.index("tongue above"), names.index("tongue below"))
    return chart[owners]


def _upward(quads: NDArray, surface: HeadSurface, mean: NDArray) -> NDArray[np.bool_]:
    """Base quads whose surface faces up."""
    a, b, c = (mean[surface.triangles[:, corner]] for corner in range(3))
    height = np.zeros(len(quads))
    np.add.at(height, surface.triangle_quads, np.cross(b - a, c - a)[:, 1])
    return height > 0
