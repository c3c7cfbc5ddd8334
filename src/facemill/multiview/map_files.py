"""The files of `build_uv_maps`: `uv_maps.npz` and its picture, of every capture."""

from __future__ import annotations

from pathlib import Path

from facemill.models.topology import Topology
from facemill.multiview.fitted_capture import CaptureScan, FittedViews
from facemill.multiview.map_pictures import draw_maps
from facemill.multiview.map_settings import UvMapSettings
from facemill.multiview.uv_maps import FACESCAPE_SIZE, build_uv_maps, facescape_crop, write_uv_maps
from facemill.runtime.files import atomic_path
from facemill.runtime.messages import message

FACESCAPE = "facescape"


def make_uv_maps(
    fitted: FittedViews,
    topology: Topology,
    scan: CaptureScan,
    settings: UvMapSettings,
    model_name: str,
    arrays: str | Path,
    picture: str | Path,
) -> None:
    """Make and write the maps of a capture; one that is not `ok` gets files that say why.

    Args:
        model_name: with `facescape` the window that FaceScape's own maps show is written, too.
    """
    if fitted.mesh is None:
        write_uv_maps(arrays, fitted, None, {})
        drawn = message(f"{fitted.name}: {fitted.status}: {fitted.reason}")
    else:
        maps = build_uv_maps(fitted, topology, scan, settings)
        crop = {}
        if model_name == FACESCAPE:
            whole = settings.model_copy(update={"size": FACESCAPE_SIZE})
            same = settings.size == FACESCAPE_SIZE
            crop = facescape_crop(maps if same else build_uv_maps(fitted, topology, scan, whole))
        write_uv_maps(arrays, fitted, maps, crop)
        drawn = draw_maps(maps)
    with atomic_path(picture) as partial:
        drawn.save(partial, format="PNG")
