"""A toy head whose texture shows its relief: files of a capture up to `blend_texture`."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facemill.formats.surface_maps import SurfaceMap, write_no_surface, write_surface_map
from facemill.models.morphable import MorphableModel
from facemill.multiview.capture_files import CaptureFiles
from facemill.multiview.fitted_capture import CaptureScan
from facemill.multiview.map_settings import UvMapSettings
from facemill.multiview.mesoscopic.examples import CaptureSource
from facemill.multiview.texel_grid import TexelGrid
from facemill.multiview.uv_maps import build_uv_maps, write_uv_maps
from unit.multiview.map_toys import make_capture

SIZE, TEXTURE = 256, 256
DEEP = 0.1  # mm


@dataclass(frozen=True)
class ToySource:
    """Files of one capture; its relief is `relief` (H, W) mm on a regularised surface of 0 mm."""

    source: CaptureSource
    model: MorphableModel
    grid: TexelGrid
    relief: NDArray[np.float64]


def make_source(
    folder: Path, seed: int = 0, texture: int = TEXTURE, scan: bool = True, whole: bool = False
) -> ToySource:
    """Bumps of some texels, and a texture that is brighter where they rise to the right.

    `whole`: the bare face is that of the toy head; else a square of it.
    """
    toy = make_capture(folder)
    fitted = toy.read()
    built = build_uv_maps(fitted, toy.model.topology, CaptureScan(None), UvMapSettings(size=SIZE))
    if not whole:
        square = np.zeros_like(built.face)
        square[72:152, 84:172] = True
        built = replace(built, face=built.face & square)
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    waves = sum(
        np.sin(2 * np.pi * (columns * fx + rows * fy) + phase)
        for fx, fy, phase in zip(
            random.uniform(0.04, 0.10, 3),
            random.uniform(-0.05, 0.05, 3),
            random.uniform(0, 6, 3),
            strict=True,
        )
    )
    relief = DEEP * waves
    more = {"displacement": np.where(built.mask, relief, np.nan).astype(np.float32)} if scan else {}
    write_uv_maps(folder / "uv_maps.npz", fitted, built, more)
    files = CaptureFiles("toy", *toy.files(), folder / "uv_maps.npz")
    grid = files.open(toy.model).grid
    assert grid is not None
    brightness = 0.5 * (1 + 2 * np.gradient(relief, axis=1))
    colours = np.clip(brightness[..., None] * [1.1, 0.9, 0.8], 0, 1)
    factor = texture // SIZE
    picture = np.rint(255 * colours).astype(np.uint8).repeat(factor, 0).repeat(factor, 1)
    Image.fromarray(picture).save(folder / "texture.png")
    Image.fromarray(np.full(picture.shape[:2], 255, dtype=np.uint8)).save(folder / "texture_seen.png")
    shape = grid.mask.shape
    write_surface_map(
        folder / "regularized.npz",
        SurfaceMap(
            SIZE,
            grid.window,
            np.where(grid.mask, 0, np.nan).astype(np.float32),
            np.ones(shape, dtype=np.float32),
            grid.mask,
            matches_of(np.where(grid.mask, 0.05, np.nan), 0.5 * grid.mask),
        ),
    )
    source = CaptureSource(
        files, folder / "regularized.npz", folder / "texture.png", folder / "texture_seen.png"
    )
    return ToySource(source, toy.model, grid, relief[grid.part])


def matches_of(matched: NDArray, confidence: NDArray) -> dict[str, NDArray]:
    """What `regularize_surface` says of the matches behind its surface."""
    return {"matched": matched.astype(np.float32), "matched_confidence": confidence.astype(np.float16)}


def lose_surface(toy: ToySource) -> None:
    """The stage before had none."""
    write_no_surface(toy.source.regularized, "no_match", "nothing matched")
