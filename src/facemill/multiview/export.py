"""What people and other programs want of a base mesh: mesh files, overlays on all views, the bare surface."""

from __future__ import annotations

from pathlib import Path

from facemill.formats.meshes import write_glb, write_obj
from facemill.geometry.mesh import Mesh
from facemill.models.morphable import MorphableModel
from facemill.multiview.fitted_capture import FittedViews
from facemill.multiview.map_settings import ExportBaseMeshSettings
from facemill.multiview.overlays import LandmarksOfViews, draw_geometry, draw_overlays
from facemill.multiview.texturing.files import texture_of_capture
from facemill.multiview.texturing.settings import BlendTextureSettings
from facemill.runtime.files import atomic_path, write_bytes, write_text
from facemill.runtime.messages import message


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
        blended = texture_of_capture(fitted, model, BlendTextureSettings(size=settings.texture_size))
        write_glb(glb, mesh.with_vertices(fitted.head), blended.texture)
        pictures = [
            draw_overlays(fitted, topology, landmarks, settings),
            draw_geometry(fitted.head, topology, settings.geometry_side),
        ]
    for path, picture in zip((overlays, geometry), pictures, strict=True):
        with atomic_path(path) as partial:
            picture.save(partial, format="PNG")
