"""Texture atlases of models that bring none, or one in tiles."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from facemill.geometry.uv import parameterize

log = logging.getLogger(__name__)

MARGIN = 0.01
#: Share of the texture's width that the main chart of a packed atlas takes.
MAIN_WIDTH = 0.8


def patch_atlas(vertices: NDArray, triangles: NDArray[np.int64]) -> tuple[NDArray, NDArray[np.int64]]:
    """(uv (T, 2), uv_triangles (F, 3)) of a face crop: laid flat without overlaps.

    A surface that is not one patch with a border is put on a cylinder instead.
    """
    try:
        return parameterize(vertices, triangles, aspect=1.0), triangles
    except ValueError as error:
        log.warning("the surface cannot be laid flat in one piece (%s): its atlas is a cylinder", error)
        return cylinder_atlas(vertices, triangles)


def cylinder_atlas(vertices: NDArray, triangles: NDArray[np.int64]) -> tuple[NDArray, NDArray[np.int64]]:
    """(uv, uv_triangles) on a cylinder about the vertical axis, cut at the back of the head.

    Corners of triangles that cross the cut have a second place, to the right of the others.
    """
    middle = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    offsets = vertices - middle
    u = np.arctan2(offsets[:, 0], offsets[:, 2]) / (2 * np.pi) + 0.5
    height = max(float(np.ptp(vertices[:, 1])), 1e-9)
    v = (vertices[:, 1] - vertices[:, 1].min()) / height
    corners = u[triangles]
    wrapped = (corners < 0.5) & (np.ptp(corners, axis=1)[:, None] > 0.5)
    moved = np.unique(triangles[wrapped])
    second = np.full(len(vertices), -1, dtype=np.int64)
    second[moved] = len(vertices) + np.arange(len(moved))
    places = np.stack([np.concatenate([u, u[moved] + 1]), np.concatenate([v, v[moved]])], axis=1)
    places[:, 0] /= max(float(places[:, 0].max()), 1.0)
    return MARGIN + (1 - 2 * MARGIN) * places, np.where(wrapped, second[triangles], triangles)


def packed_atlas(
    uv: NDArray, uv_triangles: NDArray[np.int64], charts: NDArray[np.int64]
) -> tuple[NDArray, NDArray[np.int64]]:
    """Bring an atlas in tiles into the unit square: chart 0 large at the left, the others small at the right.

    Args:
        uv: (T, 2); the whole part of u is the number of a tile.
        charts: (F,) which chart each triangle belongs to; a chart in several tiles becomes several charts.
    """
    tiles = np.floor(uv[uv_triangles].mean(axis=1)).astype(np.int64)
    keys = np.column_stack([charts, tiles])
    names, chart_of = np.unique(keys, axis=0, return_inverse=True)
    chart_of = chart_of.reshape(-1)
    small = max(len(names) - 1, 1)
    rows = int(np.ceil(small / max(1, round(small * (1 - MAIN_WIDTH)))))
    columns = int(np.ceil(small / rows))
    cell = np.array([(1 - MAIN_WIDTH) / columns, 1 / rows])
    places, packed = [np.zeros((0, 2))], np.zeros_like(uv_triangles)
    total = 0
    for number in range(len(names)):
        mine = chart_of == number
        used, local = np.unique(uv_triangles[mine], return_inverse=True)
        corner, size = np.zeros(2), np.array([MAIN_WIDTH, 1.0])
        if number:
            row, column = divmod(number - 1, columns)
            corner, size = np.array([MAIN_WIDTH + column * cell[0], row * cell[1]]), cell
        flat = uv[used]
        extent = np.maximum(np.ptp(flat, axis=0), 1e-9)
        places.append(corner + size * (MARGIN + (1 - 2 * MARGIN) * (flat - flat.min(axis=0)) / extent))
        packed[mine] = local.reshape(-1, 3) + total
        total += len(used)
    return np.concatenate(places), packed
