"""The files of `blend_texture`, of every capture."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from facemill.faces.face_texture import prepare_atlas
from facemill.formats.captures import OK
from facemill.formats.surface_maps import MappedSurface, SurfaceMap
from facemill.geometry.sampling import warp
from facemill.models.morphable import MorphableModel
from facemill.multiview.capture_files import MappedCapture
from facemill.multiview.displaced_head import displaced_head
from facemill.multiview.fitted_capture import FittedViews
from facemill.multiview.head_views import read_head_views
from facemill.multiview.map_files import FACESCAPE
from facemill.multiview.texel_grid import TexelGrid
from facemill.multiview.texturing.blend import BlendedTexture, ViewShare, blend_texture
from facemill.multiview.texturing.settings import BlendTextureSettings
from facemill.multiview.uv_maps import FACESCAPE_CROP, FACESCAPE_SIZE
from facemill.runtime.errors import FormatError
from facemill.runtime.files import atomic_path
from facemill.runtime.messages import message

COLUMNS = (
    "view",
    "status",
    "reason",
    "gain_red",
    "gain_green",
    "gain_blue",
    "share",
    "sharpness",
    "outliers",
)
RELOCATED = "relocated.png"
RELOCATED_SIZE = 1024
#: Rows and columns of FaceScape's window of 1024 texels that its detail predictor was trained on (mvfr).
RELOCATED_ROWS, RELOCATED_COLUMNS = (12, 962), (38, 988)

logger = logging.getLogger(__name__)


def texture_of_capture(
    fitted: FittedViews,
    model: MorphableModel,
    settings: BlendTextureSettings,
    surface: SurfaceMap | None = None,
    grid: TexelGrid | None = None,
) -> BlendedTexture:
    """The texture of a capture that is `ok`, on the surface that was found, or on its base mesh."""
    atlas = prepare_atlas(model.topology, settings.size)
    head = displaced_head(model.topology, atlas.raster, fitted.head, surface, grid)
    return blend_texture(read_head_views(fitted), head, model.albedo_mean, atlas, settings)


def make_texture(
    capture: MappedCapture,
    surface: MappedSurface,
    model: MorphableModel,
    settings: BlendTextureSettings,
    model_name: str,
    texture: str | Path,
    seen: str | Path,
    table: str | Path,
) -> None:
    """Make and write the texture of a capture; one that is not `ok` gets pictures and a table that say why.

    Args:
        surface: what `regularize_surface` found.
        model_name: `relocated` is for `facescape` alone.
    Raises:
        FormatError: `relocated` is asked for with another model.
    """
    if settings.relocated and model_name != FACESCAPE:
        raise FormatError(
            "blend_texture: relocated does not fit the model",
            f"the model {FACESCAPE}: the frame is a part of its atlas",
            f"the model {model_name}",
            "set relocated: false, or choose the other model",
        )
    fitted = capture.fitted
    status, reason = fitted.status, fitted.reason
    if capture.grid is not None and surface.surface is None:
        status, reason = surface.status, surface.reason
    if capture.grid is None or surface.surface is None:
        picture = message(f"{fitted.name}: {status}: {reason}")
        _save(texture, picture)
        _save(seen, picture)
        _write_table(table, fitted, (), status, reason)
        return
    blended = texture_of_capture(fitted, model, settings, surface.surface, capture.grid)
    logger.info(
        "%s: %d views, %.1f %% of the texels from photos",
        *(fitted.name, len(blended.views), 100 * float((blended.seen > 0).mean())),
    )
    _save(texture, Image.fromarray(blended.texture))
    _save(seen, Image.fromarray(blended.seen))
    _write_table(table, fitted, blended.views, status, reason)
    if settings.relocated:
        _save(Path(table).parent / RELOCATED, Image.fromarray(relocated(blended.texture)))


def relocated(texture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The frame (1024, 1024, 3) of the original detail predictor from FaceScape's atlas (T, T, 3).

    Rows 12..961 and columns 38..987 of FaceScape's window at 1024 texels, resized to 1024.
    """
    top, left, side = (place / FACESCAPE_SIZE * len(texture) for place in FACESCAPE_CROP)
    in_window = RELOCATED_SIZE / side
    scale = [
        in_window * RELOCATED_SIZE / (last - first) for first, last in (RELOCATED_COLUMNS, RELOCATED_ROWS)
    ]
    start = [left + RELOCATED_COLUMNS[0] / in_window, top + RELOCATED_ROWS[0] / in_window]
    # Borders of texels, not centres, are what corresponds: (x + 1/2 - start) scale - 1/2.
    shift = [scale[axis] * (0.5 - start[axis]) - 0.5 for axis in range(2)]
    matrix = np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]], [0, 0, 1]])
    return np.asarray(warp(texture, matrix, (RELOCATED_SIZE, RELOCATED_SIZE), "replicate"))


def _save(path: str | Path, picture: Image.Image) -> None:
    with atomic_path(path) as partial:
        picture.save(partial, format="PNG")


def _write_table(
    path: str | Path, fitted: FittedViews, shares: tuple[ViewShare, ...], status: str, reason: str
) -> None:
    given = {share.name: share for share in shares}
    rows = []
    for view in fitted.capture.views:
        own = (view.status, view.reason) if view.status != OK else (status, reason)
        row: dict[str, object] = {"view": view.name, "status": own[0], "reason": own[1]}
        if view.name in given:
            share = given[view.name]
            gains = np.array(share.gains) * view.gains
            row |= dict(zip(COLUMNS[3:6], np.round(gains, 4).tolist(), strict=True))
            row |= {name: round(getattr(share, name), 4) for name in COLUMNS[6:]}
        rows.append(row)
    with atomic_path(path) as partial:
        pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(partial, index=False)
