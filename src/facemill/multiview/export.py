"""What people and other programs want of a base mesh: mesh files, overlays on all views, the bare surface."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from facemill.faces.face_texture import completed_texture, photo_share, prepare_atlas
from facemill.formats.meshes import write_glb, write_obj
from facemill.geometry.mesh import Mesh
from facemill.models.morphable import MorphableModel
from facemill.multiview.fitted_capture import FittedViews
from facemill.multiview.head_views import read_head_view
from facemill.multiview.map_settings import ExportBaseMeshSettings
from facemill.multiview.overlays import LandmarksOfViews, draw_geometry, draw_overlays
from facemill.rendering.texture import BakedTexture, bake_texture
from facemill.runtime.files import atomic_path, write_bytes, write_text
from facemill.runtime.messages import message

SHARPNESS = (
    3  # power of the cosine with which views share a texel: the one that looks straight at it has most
)
LEAST_COSINE = 0.15


def export_base_mesh(
    fitted: FittedViews,
    model: MorphableModel,
    landmarks: LandmarksOfViews | None,
    settings: ExportBaseMeshSettings,
    obj: str | Path,
    glb: str | Path,
    overlays: str | Path,
    geometry: str | Path,
) -> None:
    """Write the files of one capture; one that is not `ok` gets empty meshes and pictures that say why.

    The OBJ is in the world of the capture (millimetres, or its own unit where that is unknown); the GLB is in
    the head frame, upright, with a texture of all views.

    Args:
        landmarks: detected in the views, to be marked on the overlays.
    """
    if fitted.mesh is None:
        words = f"{fitted.name}: {fitted.status}: {fitted.reason}"
        write_text(obj, "".join(f"# {line}\n" for line in words.splitlines()))
        write_bytes(glb, b"")
        pictures = [message(words), message(words)]
    else:
        topology = model.topology
        uv, uv_triangles = topology.uv.double().numpy(), topology.uv_triangles.numpy()
        mesh = Mesh(fitted.mesh.vertices, topology.triangles.numpy(), None, uv, uv_triangles)
        write_obj(obj, mesh)
        texture = texture_of_views(fitted, model, settings.texture_size)
        write_glb(glb, mesh.with_vertices(fitted.head), texture)
        pictures = [
            draw_overlays(fitted, topology, landmarks, settings),
            draw_geometry(fitted.head, topology, settings.geometry_side),
        ]
    for path, picture in zip((overlays, geometry), pictures, strict=True):
        with atomic_path(path) as partial:
            picture.save(partial, format="PNG")


def texture_of_views(fitted: FittedViews, model: MorphableModel, size: int) -> NDArray[np.uint8]:
    """(size, size, 3): each texel the mean of the views that see it, weighted by cosine^3 and matched in
    brightness by their gains; what no view sees is the model's mean albedo, toned to match."""
    atlas = prepare_atlas(model.topology, size)
    head = torch.from_numpy(fitted.head).float()
    total, weights = torch.zeros(size, size, 3), torch.zeros(size, size)
    best = torch.zeros(size, size)
    for view in fitted.capture.used:
        seen = read_head_view(fitted, view, size)
        baked = bake_texture(
            atlas.raster,
            torch.from_numpy(seen.picture).clamp(0, 1),
            head,
            model.topology.triangles,
            seen.camera.to(dtype=torch.float32),
            least_cosine=LEAST_COSINE,
        )
        weight = baked.weight**SHARPNESS
        total += weight[..., None] * baked.texture
        weights += weight
        best = torch.maximum(best, baked.weight)
    texture = total / weights.clamp(min=1e-12)[..., None]
    albedo = model.albedo_mean.float()
    known = BakedTexture(texture, best)
    return completed_texture(texture, photo_share(known, atlas.raster), albedo, atlas)
