"""The stage `regularize_surface`: from matches of one capture to one surface without holes."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from facemill.formats.surface_maps import SurfaceMap, read_surface_map
from facemill.multiview.capture_files import MappedCapture
from facemill.multiview.regularization.classical import classical_surface
from facemill.multiview.regularization.combined_matches import FILLED, CombinedMatches, combine_matches
from facemill.multiview.regularization.evidence import evidence_of
from facemill.multiview.regularization.network_files import load_regularizer
from facemill.multiview.regularization.networks import AnyRegularizer
from facemill.multiview.regularization.refine import refine
from facemill.multiview.regularization.settings import RegularizeSurfaceSettings
from facemill.multiview.regularization.surface_files import write_nothing, write_regularized
from facemill.multiview.texel_grid import TexelGrid

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SurfaceFiles:
    """classical: matches.npz of match_surface. implicit: volume.npz of predict_implicit. regularized and
    surface: the map and the mesh that are written."""

    classical: str | Path
    implicit: str | Path
    regularized: str | Path
    surface: str | Path


def regularize_surface(
    opened: MappedCapture, files: SurfaceFiles, settings: RegularizeSurfaceSettings, device: torch.device
) -> None:
    """Write the surface of a capture; one without matches gets files that say why.

    Raises:
        FormatError: a file of matches, or the weights, are missing or damaged.
    """
    network = None
    if settings.regularizer == "network" and settings.network:
        network = load_regularizer(settings.network).to(device)
    fitted, grid = opened.fitted, opened.grid
    if grid is None:
        write_nothing(fitted.status, fitted.reason, files.regularized, files.surface)
        return
    found = {"implicit": read_surface_map(files.implicit), "classical": read_surface_map(files.classical)}
    matches = combine_matches(found, settings)
    if isinstance(matches, tuple):
        status, reason = matches
        logger.warning("%s has no surface: %s: %s", fitted.name, status, reason)
        write_nothing(status, reason, files.regularized, files.surface)
        return
    surface = regularized(grid, matches, settings, network)
    write_regularized(fitted, grid, surface, files.regularized, files.surface)


def regularized(
    grid: TexelGrid,
    matches: CombinedMatches,
    settings: RegularizeSurfaceSettings,
    network: AnyRegularizer | None,
) -> SurfaceMap:
    """The map that `regularized.npz` holds: finite on the whole mask, NaN beside it."""
    found = classical_surface(grid, matches.displacement, matches.confidence, settings.surface)
    source = np.where(found.kept, matches.source, FILLED).astype(np.uint8)
    displacement, confidence = found.displacement, found.confidence.astype(np.float32)
    refined = network is not None and bool(matches.source.any())
    if network is not None and refined:
        better = refine(network, evidence_of(grid, matches, found))
        displacement = np.where(grid.mask, better.displacement, np.nan)
        confidence = better.confidence
    more: dict[str, NDArray] = {
        "source": source,
        "matched": np.where(grid.mask, matches.displacement, np.nan).astype(np.float32),
        "matched_confidence": matches.confidence.astype(np.float16),
        "matcher": np.array(matches.matcher),
        "regularizer": np.array("network" if refined else "classical"),
    }
    return SurfaceMap(
        grid.size,
        grid.window,
        displacement.astype(np.float32),
        confidence,
        found.kept,
        more,
    )
