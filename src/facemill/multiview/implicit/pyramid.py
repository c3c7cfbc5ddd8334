"""Pictures of a capture at halved sizes."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from facemill.multiview.fitted_capture import FittedViews
from facemill.multiview.head_views import HeadView, read_head_views
from facemill.multiview.pixel_sizes import pixel_size_of
from facemill.multiview.texel_grid import TexelGrid


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


def read_matched_views(fitted: FittedViews, grid: TexelGrid, finest: float) -> tuple[list[HeadView], float]:
    """The views of a capture and their pixel size, mm; pictures much finer than `finest` mm are made smaller.

    Raises:
        FormatError: a picture is missing or damaged.
    """
    views = read_head_views(fitted)
    size = pixel_size_of([view.matrix for view in views], grid)
    if size < 0.75 * finest:
        longest = max(max(view.picture.shape[:2]) for view in views)
        views = read_head_views(fitted, longest=max(16, round(longest * size / finest)))
        size = pixel_size_of([view.matrix for view in views], grid)
    return views, size
