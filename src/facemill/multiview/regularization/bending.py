"""The bending of a displacement map over an irregular mask of texels, in millimetres of the surface."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

LONGEST_EDGE = 4.0  # of the median distance of its kind: beyond, two texels lie on different sides of a gap
SAME_SIDE = 0.3  # cosine between normals, below which two neighbours are on different sides of a fold
LEAST_EDGE = 0.25  # of the median distance: stretched texels do not become infinitely stiff


class TexelBending:
    """Second derivatives of maps over the texels of a mask; prepared once per grid.

    With a texel's distances to its neighbours left and right h1 and h2 (mm on the base surface), the second
    derivative along its row is 2 / (h1 + h2) ((d_right - d) / h2 - (d - d_left) / h1), along columns alike,
    the mixed one of a square of texels is (d11 - d10 - d01 + d00) / (h v), h and v its mean sides. Each is
    weighted by the root of the area it stands for, so that

        | rows d |^2 = integral of d_uu^2 + 2 d_uv^2 + d_vv^2 over the surface,

    the energy of a thin plate, whose minimum solves the bi-Laplacian equation with free edges (Duchon 1977;
    Terzopoulos 1988): planes cost nothing, up to the very edge of the mask. Derivatives that would reach over
    a gap of the mask, a fold or an edge longer than 4 medians are left out. Rows and columns of the atlas are
    taken as perpendicular.

    Attributes:
        texels: (N,) places of the mask's texels in the flattened window.
        area: (N,) mm² each stands for.
        rows: (M, N) sparse, weighted second derivatives.
    """

    def __init__(
        self, position: NDArray[np.float64], normal: NDArray[np.float64], mask: NDArray[np.bool_]
    ) -> None:
        """position, normal: (H, W, 3) mm, head frame; mask: (H, W)."""
        self.texels = np.flatnonzero(mask)
        if not len(self.texels):
            raise ValueError("mask: expected at least one texel, found none")
        across, across_joined = _edges(position, normal, mask, 1)
        down, down_joined = _edges(position, normal, mask, 0)
        number = np.full(mask.shape, -1, dtype=np.int64)
        number.ravel()[self.texels] = np.arange(len(self.texels))
        widths, heights = _of_texels(across, across_joined, 1), _of_texels(down, down_joined, 0)
        self.area = (widths * heights).ravel()[self.texels]
        blocks = [
            _along(number, across, across_joined, heights),
            _along(number.T, down.T, down_joined.T, widths.T),
            _mixed(number, across, across_joined, down, down_joined),
        ]
        self.rows = sparse.vstack([_matrix(block, len(self.texels)) for block in blocks], format="csr")

    def flat(self, values: NDArray) -> NDArray[np.float64]:
        """(H, W) of the window -> (N,) of the mask."""
        return np.asarray(values, dtype=np.float64).ravel()[self.texels]

    def energy(self) -> sparse.csc_matrix:
        """(N, N): d^T energy d is the bending energy, 1/mm² of displacements in mm."""
        return sparse.csc_matrix(self.rows.T @ self.rows)


#: Second derivatives: columns (M, K) and their weights (M, K).
_Block = tuple[NDArray[np.int64], NDArray[np.float64]]


def _edges(
    position: NDArray[np.float64], normal: NDArray[np.float64], mask: NDArray[np.bool_], axis: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Distances of neighbours along an axis, mm, and whether both lie on the surface, on one side of it."""
    before = [slice(None), slice(None)]
    after = list(before)
    before[axis], after[axis] = slice(None, -1), slice(1, None)
    first, second = tuple(before), tuple(after)
    length = np.linalg.norm(position[second] - position[first], axis=-1)
    joined = mask[first] & mask[second]
    joined &= np.einsum("hwc,hwc->hw", normal[first], normal[second]) > SAME_SIDE
    usual = float(np.median(length[joined])) if joined.any() else 1.0
    joined &= length <= LONGEST_EDGE * usual
    return np.maximum(length, LEAST_EDGE * usual), joined


def _of_texels(length: NDArray[np.float64], joined: NDArray[np.bool_], axis: int) -> NDArray[np.float64]:
    """(H, W) mean length of the edges at each texel along an axis; the median where it has none."""
    usual = float(np.median(length[joined])) if joined.any() else 1.0
    pads = [(0, 0), (0, 0)]
    sums, counts = np.zeros(1), np.zeros(1)
    for side in ((0, 1), (1, 0)):
        pads[axis] = side
        sums = sums + np.pad(np.where(joined, length, 0.0), pads)
        counts = counts + np.pad(joined.astype(np.float64), pads)
    return np.where(counts > 0, sums / np.maximum(counts, 1), usual)


def _along(
    number: NDArray[np.int64],
    length: NDArray[np.float64],
    joined: NDArray[np.bool_],
    breadth: NDArray[np.float64],
) -> _Block:
    """Second derivatives along rows, of texels that are joined to both neighbours."""
    both = joined[:, :-1] & joined[:, 1:]
    columns = np.stack([number[:, :-2], number[:, 1:-1], number[:, 2:]], axis=-1)[both]
    left, right = length[:, :-1][both], length[:, 1:][both]
    mean = (left + right) / 2
    weight = np.sqrt(mean * breadth[:, 1:-1][both]) / mean
    values = np.stack([1 / left, -(1 / left + 1 / right), 1 / right], axis=-1)
    return columns, weight[:, None] * values


def _mixed(
    number: NDArray[np.int64],
    across: NDArray[np.float64],
    across_joined: NDArray[np.bool_],
    down: NDArray[np.float64],
    down_joined: NDArray[np.bool_],
) -> _Block:
    """Mixed derivatives of squares of four texels whose sides are all joined; they count twice."""
    whole = across_joined[:-1] & across_joined[1:] & down_joined[:, :-1] & down_joined[:, 1:]
    corners = np.stack([number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:]], axis=-1)[whole]
    width = ((across[:-1] + across[1:]) / 2)[whole]
    height = ((down[:, :-1] + down[:, 1:]) / 2)[whole]
    return corners, np.sqrt(2 / (width * height))[:, None] * np.array([1.0, -1.0, -1.0, 1.0])


def _matrix(block: _Block, count: int) -> sparse.csr_matrix:
    columns, values = block
    starts = np.arange(len(columns) + 1) * columns.shape[1]
    return sparse.csr_matrix((values.ravel(), columns.ravel(), starts), shape=(len(columns), count))
