"""Captures in memory, as training and validation read them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facemill.multiview.fitted_capture import FittedViews
from facemill.multiview.implicit.projection import best_views
from facemill.multiview.implicit.pyramid import halved, halved_matrix, read_matched_views
from facemill.multiview.texel_grid import TexelGrid

LEAST_VIEWS = 2

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingCapture:
    """One capture with a scan.

    Attributes:
        name: of the capture.
        pixel: mm that a pixel covers.
        pictures: for 0, 1, … halvings the V pictures (H, W, 3) uint8; matrices: the same of (3, 4) float64.
        position, normal: (H, W, 3) float32; truth: (H, W) float32 mm; visibility: (H, W, V) float32.
        known: (H, W) texels of the face whose truth lies in the band and that two views see.
    """

    name: str
    pixel: float
    pictures: tuple[tuple[NDArray[np.uint8], ...], ...]
    matrices: tuple[tuple[NDArray[np.float64], ...], ...]
    position: NDArray[np.float32]
    normal: NDArray[np.float32]
    truth: NDArray[np.float32]
    visibility: NDArray[np.float32]
    known: NDArray[np.bool_]


def read_training_capture(
    fitted: FittedViews, grid: TexelGrid, scales: int, finest: float, most_views: int, band: float
) -> TrainingCapture | None:
    """Read a capture; None (and a line in the log) where it has nothing to learn from.

    Args:
        scales: how many sizes of the pictures, each half the one before.
    Raises:
        FormatError: a picture is missing or damaged.
    """
    if grid.truth is None:
        logger.warning("%s is left out: it has no scan", fitted.name)
        return None
    visibility = best_views(grid.visibility.reshape(-1, grid.visibility.shape[-1]), most_views)
    visibility = visibility.reshape(grid.visibility.shape)
    near = np.isfinite(grid.truth) & (np.abs(np.nan_to_num(grid.truth)) <= band)
    known = grid.mask & near & ((visibility > 0).sum(axis=-1) >= LEAST_VIEWS)
    if not known.any():
        logger.warning("%s is left out: no texel has a truth and two views", fitted.name)
        return None
    views, pixel = read_matched_views(fitted, grid, finest)
    pictures = [
        tuple((255 * halved(view.picture, n)).round().clip(0, 255).astype(np.uint8) for view in views)
        for n in range(scales)
    ]
    matrices = [tuple(halved_matrix(view.matrix, n) for view in views) for n in range(scales)]
    return TrainingCapture(
        fitted.name,
        pixel,
        tuple(pictures),
        tuple(matrices),
        grid.position.astype(np.float32),
        grid.normal.astype(np.float32),
        grid.truth,
        visibility,
        known,
    )


def read_training_captures(
    opened: Sequence[tuple[FittedViews, TexelGrid]], scales: int, finest: float, most_views: int, band: float
) -> list[TrainingCapture]:
    """Those of several captures that have something to learn from."""
    found = (read_training_capture(*one, scales, finest, most_views, band) for one in opened)
    return [one for one in found if one is not None]
