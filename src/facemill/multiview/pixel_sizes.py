"""How much of the surface a pixel of a capture covers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from facemill.multiview.texel_grid import TexelGrid

SEEN_WELL = 0.3  # cosine from which a view's pixels count
EVERY = 37  # texels from one that is looked at to the next


def pixel_size(
    matrices: NDArray[np.float64], positions: NDArray[np.float64], visibility: NDArray[np.floating]
) -> float:
    """mm of the surface, face on, that a pixel covers: the median over texels and the views that see them.

    Args:
        matrices: (V, 3, 4); positions: (T, 3); visibility: (T, V) cosines.
    Returns:
        NaN where no view sees a texel well.
    """
    sizes = []
    for number, matrix in enumerate(matrices):
        chosen = positions[visibility[:, number] > SEEN_WELL]
        points = chosen @ matrix[:, :3].T + matrix[:, 3]
        chosen_depth = points[:, 2]
        pixels = points[:, :2] / chosen_depth[:, None]
        slopes = (matrix[None, :2, :3] - pixels[:, :, None] * matrix[2, :3]) / chosen_depth[:, None, None]
        sizes.append(np.sqrt(2.0) / np.linalg.norm(slopes, axis=(1, 2)))
    together = np.concatenate(sizes) if sizes else np.zeros(0)
    return float(np.median(together)) if len(together) else float("nan")


def pixel_size_of(matrices: Sequence[NDArray[np.float64]], grid: TexelGrid) -> float:
    """`pixel_size` over every 37th texel of the face; `matrices`: (3, 4) of each view of the grid."""
    rows, columns = np.nonzero(grid.mask)
    rows, columns = rows[::EVERY], columns[::EVERY]
    return pixel_size(np.stack(matrices), grid.position[rows, columns], grid.visibility[rows, columns])
