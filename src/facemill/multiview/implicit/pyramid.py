"""Pictures of a capture at halved sizes, and how much of the surface a pixel covers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from facemill.multiview.fitted_capture import FittedViews
from facemill.multiview.head_views import HeadView, read_head_views
from facemill.multiview.texel_grid import TexelGrid

SEEN_WELL = 0.3  # cosine from which a view's pixels count


def halved(picture: NDArray[np.float32], times: int) -> NDArray[np.float32]:
    """(H, W, 3) with each side halved `times` times, by means over squares; a last odd row is left out."""
    factor = 1 << times
    if factor == 1:
        return picture
    planes = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]
    padded = functional.pad(
        planes, (0, max(0, factor - planes.shape[3]), 0, max(0, factor - planes.shape[2])), mode="replicate"
    )
    small = functional.avg_pool2d(padded, factor)[0]
    return np.ascontiguousarray(small.numpy().transpose(1, 2, 0))


def halved_matrix(matrix: NDArray[np.float64], times: int) -> NDArray[np.float64]:
    """(3, 4) K (R | t) of a picture for what `halved` makes of it: u' = (u + 0.5) / 2^times - 0.5.

    >>> halved_matrix(np.eye(3, 4), 1)[0]
    array([ 0.5 ,  0.  , -0.25,  0.  ])
    """
    factor = 1 << times
    shift = np.array([[1 / factor, 0, 0.5 / factor - 0.5], [0, 1 / factor, 0.5 / factor - 0.5], [0, 0, 1]])
    return np.asarray(shift @ matrix)


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


def read_matched_views(fitted: FittedViews, grid: TexelGrid, finest: float) -> tuple[list[HeadView], float]:
    """The views of a capture and their pixel size, mm; pictures much finer than `finest` mm are made smaller.

    Raises:
        FormatError: a picture is missing or damaged.
    """
    views = read_head_views(fitted)
    size = measured_size(views, grid)
    if size < 0.75 * finest:
        longest = max(max(view.picture.shape[:2]) for view in views)
        views = read_head_views(fitted, longest=max(16, round(longest * size / finest)))
        size = measured_size(views, grid)
    return views, size


def measured_size(views: Sequence[HeadView], grid: TexelGrid) -> float:
    """`pixel_size` over every 37th texel of the face."""
    rows, columns = np.nonzero(grid.mask)
    rows, columns = rows[::37], columns[::37]
    matrices = np.stack([view.matrix for view in views])
    return pixel_size(matrices, grid.position[rows, columns], grid.visibility[rows, columns])
