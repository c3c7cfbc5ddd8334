"""Captures as examples: what the network reads and the relief it is to find, an array per capture on disk."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facemill.formats.captures import OK
from facemill.formats.facescape_displacement import (
    find_displacement_map,
    read_displacement_map,
    sampled_window,
)
from facemill.formats.surface_maps import read_surface_map
from facemill.models.morphable import MorphableModel
from facemill.multiview.capture_files import CaptureFiles, list_captures
from facemill.multiview.fitted_capture import FittedViews, read_scan
from facemill.multiview.mesoscopic.finer_grid import enlarged, nearest_filled, repeated
from facemill.multiview.mesoscopic.spec import INPUT_CHANNELS
from facemill.multiview.mesoscopic.texture_inputs import TextureMaps, fine_relief, texture_maps
from facemill.multiview.mesoscopic.zones import face_areas, texel_sides
from facemill.multiview.texel_grid import TexelGrid
from facemill.multiview.texturing.pictures import read_seen, read_texture
from facemill.multiview.uv_maps import signed_distances
from facemill.runtime.files import atomic_path

MOST_RELIEF = 1.5  # mm: where the truth is farther from the regularised surface, the surface is wrong
BAND = 5.0  # mm from the regularised surface within which the scan is looked for
#: Layout of an example (C, H, W): inputs, then relief (NaN = unknown), zone, and the metric in mm^2.
RELIEF, ZONE = INPUT_CHANNELS, INPUT_CHANNELS + 1
METRIC = slice(INPUT_CHANNELS + 2, INPUT_CHANNELS + 5)
CHANNELS = INPUT_CHANNELS + 5
VERSION = "5"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CaptureSource:
    """Files of one capture to train on or to validate on.

    files: of the capture and its fit. regularized: of `regularize_surface`; texture, seen: of
    `blend_texture`. scan: mesh file of the capture's own world; empty: the truth in the maps is used.
    displacement_map: of FaceScape, whose relief counts instead; or None.
    """

    files: CaptureFiles
    regularized: Path
    texture: Path
    seen: Path
    scan: str = ""
    displacement_map: Path | None = None

    @property
    def digest(self) -> str:
        """Tells apart what these files hold."""
        files = [self.files.arrays, self.files.maps, self.regularized, self.texture, self.seen]
        files += [path for path in (self.displacement_map, Path(self.scan) if self.scan else None) if path]
        total = hashlib.sha256(VERSION.encode())
        for path in files:
            total.update(hashlib.sha256(path.read_bytes()).digest() if path.is_file() else b"missing")
        return total.hexdigest()[:20]


@dataclass(frozen=True)
class OpenedCapture:
    """A capture with its truth.

    name: of the capture. maps: at the texture's resolution. truth: (H, W) mm along the base normals, NaN
    where unknown. areas: name -> (H, W), parts of the face.
    """

    name: str
    maps: TextureMaps
    truth: NDArray[np.float32]
    areas: dict[str, NDArray[np.bool_]]

    def example(self) -> NDArray[np.float16]:
        """(C, H, W): see `RELIEF`, `ZONE`, `METRIC`."""
        relief = self.truth - self.maps.surface
        known = self.maps.known & (np.abs(relief) <= MOST_RELIEF)
        fine = fine_relief(np.where(known, relief, 0.0), known, texel_sides(self.maps.grid))
        relief = np.where(known, fine, np.nan)
        stacked = np.concatenate([self.maps.inputs, relief[None], self.maps.zone[None], self.maps.metric])
        return stacked.astype(np.float16)


def list_sources(
    names: Sequence[str],
    captures: Sequence[str],
    arrays: Sequence[str],
    reports: Sequence[str],
    maps: Sequence[str],
    regularized: Sequence[str],
    textures: Sequence[str],
    seen: Sequence[str],
    scans: Sequence[str] = (),
    displacement_maps: str = "",
) -> list[CaptureSource]:
    """The files of several captures, from one list of each kind; `scans` may be empty or hold empty names.

    Args:
        displacement_maps: folder of FaceScape's, see `find_displacement_map`.
    """
    files = list_captures(names, captures, arrays, reports, maps)
    scan_files = list(scans) or [""] * len(files)
    return [
        CaptureSource(
            one,
            Path(surface),
            Path(texture),
            Path(mask),
            scan,
            find_displacement_map(displacement_maps, one.name) if displacement_maps else None,
        )
        for one, surface, texture, mask, scan in zip(
            files, regularized, textures, seen, scan_files, strict=True
        )
    ]


def open_source(source: CaptureSource, model: MorphableModel) -> OpenedCapture | None:
    """Read a capture; one that is not `ok` or has no truth is left out, and the log says why.

    Raises:
        FormatError: a file is missing, damaged, or does not fit the others.
    """
    name = source.files.name
    opened = source.files.open(model)
    if opened.grid is None or opened.fitted.status != OK:
        logger.warning("%s is left out: %s", name, opened.fitted.reason)
        return None
    mapped = read_surface_map(source.regularized)
    if mapped.surface is None:
        logger.warning("%s is left out: %s", name, mapped.reason)
        return None
    texture, seen = read_texture(source.texture), read_seen(source.seen)
    topology, head = model.topology, opened.fitted.head
    maps = texture_maps(opened.grid, topology, head, mapped.surface, texture, seen, opened.pixel, name)
    truth = _truth(source, opened.fitted, opened.grid, maps)
    if truth is None or not np.isfinite(truth).any():
        logger.warning("%s is left out: there is no scan and no displacement map", name)
        return None
    factor = maps.grid.size // opened.grid.size
    areas = {
        area: repeated(inside, factor) & maps.grid.mask
        for area, inside in face_areas(opened.grid, topology, head).items()
    }
    return OpenedCapture(name, maps, truth, areas)


def example_file(source: CaptureSource, model: MorphableModel, folder: Path) -> Path | None:
    """The example of a capture in `folder`, made unless it is there already; None for one left out.

    Its name is the digest of what it was made from, so it never is of older files.
    """
    path = folder / f"{source.digest}.npy"
    if not path.is_file():
        opened = open_source(source, model)
        if opened is None:
            return None
        with atomic_path(path) as partial, partial.open("wb") as file:
            np.save(file, opened.example(), allow_pickle=False)
        logger.info("%s: example of %s texels", source.files.name, opened.maps.grid.mask.sum())
    return path


def _truth(
    source: CaptureSource, fitted: FittedViews, grid: TexelGrid, maps: TextureMaps
) -> NDArray[np.float32] | None:
    """(H, W) mm: FaceScape's relief on the surface, else the scan at each texel, else the maps' truth."""
    fine = maps.grid
    if source.displacement_map is not None:
        relief = sampled_window(read_displacement_map(source.displacement_map), fine.size, fine.window)
        return np.where(fine.mask, maps.surface + relief, np.nan).astype(np.float32)
    if source.scan:
        scan = fitted.in_head(read_scan(source.scan))
        if scan is not None:
            truth = np.full(fine.mask.shape, np.nan, dtype=np.float32)
            points, normals = fine.position[fine.mask], fine.normal[fine.mask]
            moved = points + normals * maps.surface[fine.mask][:, None]
            truth[fine.mask] = maps.surface[fine.mask] + signed_distances(moved, normals, scan, BAND)
            return truth
    if grid.truth is None:
        return None
    known = np.isfinite(grid.truth)
    factor = fine.size // grid.size
    smooth = enlarged(nearest_filled(grid.truth - grid.rounding), factor) + fine.rounding
    return np.where(repeated(known, factor) & fine.mask, smooth, np.nan).astype(np.float32)
