"""The terms of the unsupervised detail layer (Chen et al., TIP 2020), one value per photo, (B,) each.

Its surface is a grid: one vertex at each texel of the face, two triangles at each square of four texels. So
vertices are maps (B, h, w, C) here, and neighbours are shifts. The square of texels

    a b
    c d

has the triangles (a, c, d) and (a, d, b): its diagonal is a d (`detail.surface.grid_triangles`).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from facemill.geometry.mesh import normalised

CAP = 10.0  # largest square that a displacement counts with
POSITION_FLOOR = 0.2  # mm^2; squares below cost as much: no pull towards a flat face
NORMAL_FLOOR = 1e-3
TRIANGLE_FLOOR = 1e-4
TINY = 1e-8
#: Row and column offsets of the vertices that share an edge with a vertex of the grid.
NEIGHBOURS = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, -1))


def photometric_distance(rendered: Tensor, photo: Tensor, mask: Tensor) -> Tensor:
    """Mean length of the colour difference over the mask, in the unit of the colours (the original: 0..255).

    sum of sqrt(mask |rendered - photo|^2) / sum of mask; 0 when the mask is empty.

    Args:
        rendered, photo: (B, H, W, 3); mask: (B, H, W), 0..1.
    """
    squared = ((rendered - photo) ** 2).sum(-1) * mask
    lengths = torch.sqrt(squared + TINY) - TINY**0.5  # a gradient of 0, not NaN, where they agree
    lengths = lengths * (mask > 0)
    return lengths.sum((1, 2)) / mask.sum((1, 2)).clamp(min=TINY)


def capped_square(values: Tensor, mask: Tensor, cap: float = CAP) -> Tensor:
    """Mean square over the mask, squares of single numbers capped; those of vectors' parts are added.

    The displacement's magnitude (mm^2), the difference of rendered depths (mm^2) and that of normals.

    Args:
        values: (B, H, W) or (B, H, W, C); mask: (B, H, W).
    """
    squared = (values * values).clamp(max=cap)
    if squared.ndim == 4:
        squared = squared.sum(-1)
    return (squared * mask).sum((1, 2)) / mask.sum((1, 2)).clamp(min=TINY)


def laplacian_roughness(values: Tensor, inside: Tensor, floor: float) -> Tensor:
    """Mean over the grid's vertices and the parts of max((mean of the neighbours - value)^2, floor).

    Args:
        values: (B, h, w, C) positions in mm, or unit normals.
        inside: (h, w) bool, texels that are vertices; neighbours beyond do not count.
    """
    weight = inside.to(values.dtype)[None, ..., None]
    total, count = torch.zeros_like(values), torch.zeros_like(weight)
    for row, column in NEIGHBOURS:
        total = total + _shifted(values * weight, row, column)
        count = count + _shifted(weight, row, column)
    error = ((total / count.clamp(min=1) - values) ** 2).clamp(min=floor) * weight
    return error.sum((1, 2, 3)) / (weight.sum() * values.shape[-1]).clamp(min=TINY)


class TriangleNormals(NamedTuple):
    """Unit normals of the grid's triangles, (B, h - 1, w - 1, 3) each: left (a, c, d) and right (a, d, b)."""

    left: Tensor
    right: Tensor


def grid_triangle_normals(positions: Tensor) -> TriangleNormals:
    """Of vertices (B, h, w, 3); rows run down and columns right as one looks at the face from outside."""
    a, b = positions[:, :-1, :-1], positions[:, :-1, 1:]
    c, d = positions[:, 1:, :-1], positions[:, 1:, 1:]
    left, right = torch.linalg.cross(c - a, d - a), torch.linalg.cross(d - a, b - a)
    return TriangleNormals(normalised(left), normalised(right))


def triangle_roughness(normals: TriangleNormals, inside: Tensor, floor: float = TRIANGLE_FLOOR) -> Tensor:
    """Mean over pairs of triangles with a common edge of max((difference of their normals)^2, floor).

    Args:
        inside: (h, w) bool; the triangles of a square count when its four corners are inside.
    """
    square = inside[:-1, :-1] & inside[:-1, 1:] & inside[1:, :-1] & inside[1:, 1:]
    left, right = normals
    pairs = (
        (left, right, square),
        (left[:, :-1], right[:, 1:], square[:-1] & square[1:]),
        (right[:, :, :-1], left[:, :, 1:], square[:, :-1] & square[:, 1:]),
    )
    total, count = left.new_zeros(len(left)), left.new_zeros(())
    for first, second, valid in pairs:
        error = ((first - second) ** 2).clamp(min=floor).sum(-1)
        total = total + (error * valid).sum((1, 2))
        count = count + 3 * valid.sum()
    return total / count.clamp(min=1)


def uv_variation(values: Tensor, inside: Tensor | None = None) -> Tensor:
    """Squared differences of texels that touch: mean along rows + along columns + along both diagonals.

    Args:
        values: (B, h, w).
        inside: (h, w) bool, texels that count; all when None, as in the original.
    """
    within = torch.ones_like(values[0], dtype=torch.bool) if inside is None else inside
    total = values.new_zeros(len(values))
    for first, second in (
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
        ((slice(1, None), slice(None)), (slice(None, -1), slice(None))),
        ((slice(1, None), slice(1, None)), (slice(None, -1), slice(None, -1))),
        ((slice(None, -1), slice(1, None)), (slice(1, None), slice(None, -1))),
    ):
        both = within[first] & within[second]
        squared = (values[(slice(None), *first)] - values[(slice(None), *second)]) ** 2
        total = total + (squared * both).sum((1, 2)) / both.sum().clamp(min=1)
    return total


def _shifted(values: Tensor, row: int, column: int) -> Tensor:
    """values[:, r + row, c + column] at (r, c), 0 beyond the border; offsets are -1, 0 or 1."""
    height, width = values.shape[1:3]
    padded = torch.nn.functional.pad(values, (0, 0, 1, 1, 1, 1))
    return padded[:, 1 + row : 1 + row + height, 1 + column : 1 + column + width]
