"""The files of one fitted capture, and what stages after the fit read from them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from facemill.formats.captures import OK
from facemill.models.morphable import MorphableModel
from facemill.multiview.fitted_capture import FittedViews, read_fitted
from facemill.multiview.pixel_sizes import pixel_size_of
from facemill.multiview.texel_grid import TexelGrid, read_texel_grid

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CaptureFiles:
    """Where a capture lies.

    name: of the capture. capture: capture.json of prepare_capture, its pictures beside it. arrays, report: of
    fit_base_mesh. maps: uv_maps.npz.
    """

    name: str
    capture: Path
    arrays: Path
    report: Path
    maps: Path

    def open(self, model: MorphableModel) -> MappedCapture:
        """Read all but the pictures.

        Raises:
            FormatError: a file is missing, damaged, or does not fit the others.
        """
        fitted = read_fitted(self.name, self.capture, self.arrays, self.report, model)
        grid = read_texel_grid(self.maps, fitted) if fitted.mesh is not None else None
        return MappedCapture(fitted, grid)


@dataclass(frozen=True)
class MappedCapture:
    """A capture with its base mesh; `grid` is None unless its status is `ok`."""

    fitted: FittedViews
    grid: TexelGrid | None

    @property
    def pixel(self) -> float:
        """mm of the surface that a pixel of the prepared pictures covers; NaN where no view sees it well."""
        if self.grid is None:
            return float("nan")
        cameras = [self.fitted.head_camera(view) for view in self.fitted.capture.used]
        return pixel_size_of(
            [(camera.intrinsics @ camera.extrinsics).numpy() for camera in cameras], self.grid
        )


def list_captures(
    names: Sequence[str],
    captures: Sequence[str],
    arrays: Sequence[str],
    reports: Sequence[str],
    maps: Sequence[str],
) -> list[CaptureFiles]:
    """The files of several captures, from one list of each kind."""
    return [
        CaptureFiles(name, *map(Path, paths))
        for name, *paths in zip(names, captures, arrays, reports, maps, strict=True)
    ]


def open_captures(
    files: Sequence[CaptureFiles], model: MorphableModel
) -> list[tuple[FittedViews, TexelGrid]]:
    """Those of several captures that are `ok`; the log says why others are left out."""
    found = []
    for one in files:
        opened = one.open(model)
        if opened.grid is None or opened.fitted.status != OK:
            logger.warning("%s is left out: %s", one.name, opened.fitted.reason)
        else:
            found.append((opened.fitted, opened.grid))
    return found
