"""The files of `displace_mesh`, of every capture."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facemill.formats.displacement import fitting_scale, write_displacement
from facemill.formats.meshes import write_glb, write_obj, write_ply
from facemill.formats.surface_maps import OK, MappedSurface, SurfaceMap
from facemill.geometry.mesh import Mesh
from facemill.models.morphable import MorphableModel
from facemill.multiview.capture_files import MappedCapture
from facemill.multiview.displaced_head import DisplacedHead, displaced_head
from facemill.multiview.displacing.displace import detail_levels, displace_mesh, vertex_colours
from facemill.multiview.displacing.facescape_map import write_facescape_map
from facemill.multiview.displacing.preview import draw_preview
from facemill.multiview.displacing.settings import DisplaceMeshSettings
from facemill.multiview.map_files import FACESCAPE
from facemill.multiview.texturing.pictures import read_texture
from facemill.multiview.uv_atlas import bare_face
from facemill.rendering.texture import UvRaster
from facemill.runtime.files import atomic_folder, write_bytes, write_json, write_text
from facemill.runtime.messages import message

OBJ_DECIMALS = 4  # of a millimetre
MOST_DECIMALS = 9
PREVIEW, SUMMARY, FACESCAPE_MAP = "preview.png", "summary.json", "facescape.png"
ALONG = "base mesh"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MeshFiles:
    """Where the files of a capture go; `folder` is for levels of detail, the preview and the summary."""

    displacement: Path
    sidecar: Path
    obj: Path
    glb: Path
    ply: Path
    folder: Path


def make_meshes(
    capture: MappedCapture,
    regularized: MappedSurface,
    mesoscopic: MappedSurface,
    texture: str | Path,
    model: MorphableModel,
    settings: DisplaceMeshSettings,
    model_name: str,
    files: MeshFiles,
) -> None:
    """Write the meshes of a capture; one that is not `ok` gets empty meshes, and files that say why.

    Args:
        regularized, mesoscopic: what those stages found; without the second the first is the surface.
        texture: the file of `blend_texture`; its side is that of the displacement map.
    Raises:
        FormatError: the texture cannot be read, or is not square.
    """
    fitted, grid = capture.fitted, capture.grid
    surface = mesoscopic.surface or regularized.surface
    if fitted.mesh is None or grid is None or surface is None:
        status, reason = (fitted.status, fitted.reason)
        if status == OK:
            status, reason = regularized.status, regularized.reason
        _write_none(files, fitted.name, status, reason)
        return
    colours = read_texture(texture)
    topology = model.topology
    raster = UvRaster.from_atlas(topology.uv.double().numpy(), topology.uv_triangles.numpy(), len(colours))
    head = displaced_head(topology, raster, fitted.head, surface, grid)
    mesh = displace_mesh(head, settings.edge_mm)
    write_displacement(
        files.displacement, head.displacement, scale=fitting_scale(head.displacement), surface=ALONG
    )
    decimals = OBJ_DECIMALS + int(np.ceil(np.clip(-np.log10(fitted.mesh.scale), 0, MOST_DECIMALS)))
    world = mesh.with_vertices(fitted.mesh.in_world(np.asarray(mesh.vertices)))
    beside = os.path.relpath(texture, files.obj.parent)
    write_obj(files.obj, world, Path(beside).as_posix(), min(decimals, MOST_DECIMALS))
    write_glb(files.glb, mesh, colours)
    tinted = Mesh(world.vertices, world.triangles, vertex_colours(mesh, colours))
    write_ply(files.ply, tinted)
    told: dict[str, Any] = {
        "status": OK,
        "reason": "",
        "surface": "mesoscopic" if mesoscopic.surface is not None else "regularized",
        "edge_mm": settings.edge_mm,
        "vertices": len(mesh.vertices),
        "triangles": len(mesh.triangles),
    }
    with atomic_folder(files.folder) as folder:
        base = Mesh(fitted.head, topology.triangles.numpy())
        face = fitted.head[bare_face(topology).numpy()]
        draw_preview(base, mesh, colours, face, settings.preview_side).save(folder / PREVIEW)
        told["levels"] = _write_levels(folder, mesh, head, regularized.surface, colours, capture, settings)
        if settings.facescape_map:
            told["facescape_map"] = _write_relief(folder, head, mesoscopic.surface, model_name)
        write_json(folder / SUMMARY, told)
    logger.info("%s: %d triangles on the %s surface", fitted.name, len(mesh.triangles), told["surface"])


def _write_levels(
    folder: Path,
    mesh: Mesh,
    head: DisplacedHead,
    smooth: SurfaceMap | None,
    colours: NDArray[np.uint8],
    capture: MappedCapture,
    settings: DisplaceMeshSettings,
) -> list[dict[str, Any]]:
    """Write the coarser levels as GLB; what the summary says of them."""
    if settings.levels < 2:
        return []
    plain = head
    if smooth is not None:
        plain = displaced_head(head.topology, head.raster, head.vertices, smooth, capture.grid)
    told = []
    for number, level in enumerate(detail_levels(mesh, plain, settings.edge_mm, settings.levels), start=1):
        name = f"level_{number}.glb"
        write_glb(folder / name, level.mesh, colours, normal_map=level.normal_map)
        told.append(
            {
                "file": name,
                "edge_mm": level.edge,
                "vertices": len(level.mesh.vertices),
                "triangles": len(level.mesh.triangles),
            }
        )
    return told


def _write_relief(
    folder: Path, head: DisplacedHead, surface: SurfaceMap | None, model_name: str
) -> str | None:
    """Write the map in FaceScape's encoding; its name, or None where no relief was found."""
    if surface is None or "relief" not in surface.more:
        logger.warning("no mesoscopic relief: %s is not written", FACESCAPE_MAP)
        return None
    relief, place = surface.more["relief"], folder / FACESCAPE_MAP
    write_facescape_map(place, head, relief, surface.size, surface.window, model_name == FACESCAPE)
    return FACESCAPE_MAP


def _write_none(files: MeshFiles, name: str, status: str, reason: str) -> None:
    words = f"{name}: {status}: {reason}"
    lines = words.splitlines()
    told = {"status": status, "reason": reason}
    write_text(files.obj, "".join(f"# {line}\n" for line in lines))
    write_bytes(files.glb, b"")
    comments = "".join(f"comment {line}\n" for line in lines)
    empty = "element vertex 0\nproperty float x\nproperty float y\nproperty float z\n"
    faces = "element face 0\nproperty list uchar int vertex_indices\n"
    write_text(files.ply, f"ply\nformat ascii 1.0\n{comments}{empty}{faces}end_header\n")
    write_json(files.sidecar, told)
    picture = message(words)
    files.displacement.parent.mkdir(parents=True, exist_ok=True)
    picture.save(files.displacement)
    with atomic_folder(files.folder) as folder:
        picture.save(folder / PREVIEW)
        write_json(folder / SUMMARY, told)
