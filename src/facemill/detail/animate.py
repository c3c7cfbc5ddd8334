"""The detail of a photo on the same face under other expressions."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from facemill.detail import pictures
from facemill.detail.export import prepare_shard, rows_with_detail
from facemill.detail.export_settings import AnimateDetailSettings
from facemill.detail.normal_maps import tangent_normals
from facemill.faces.face_texture import face_texture
from facemill.faces.photo_source import PhotoSource
from facemill.faces.tangent_maps import as_colours
from facemill.formats.meshes import write_glb
from facemill.geometry.camera import Camera, deep3d_crop_camera
from facemill.geometry.mesh import Mesh
from facemill.models.morphable import MorphableModel
from facemill.runtime.files import atomic_folder, atomic_path

logger = logging.getLogger(__name__)

#: Where a model has no blendshapes: how many of its first expression coefficients, at how many deviations.
PLAIN_COUNT, PLAIN_STRENGTH = 4, 2.0


@dataclass(frozen=True)
class AnimatedFace:
    """What `animate_detail` wrote: picture and one .glb per expression, by name."""

    picture: Path
    meshes: dict[str, Path]


def animate_detail(
    table: pd.DataFrame,
    coarse_arrays: Mapping[str, NDArray],
    detail_arrays: Mapping[str, NDArray],
    model: MorphableModel,
    originals: PhotoSource,
    folder: str | Path,
    settings: AnimateDetailSettings,
    photo: str,
) -> AnimatedFace:
    """Write `expressions.png` and `expressions/<name>.glb` of one photo into `folder`.

    Each mesh is the coarse face with the photo's identity and the named expression, and carries the texture
    and ONE tangent-space normal map, that of the photo: what a program does that animates the mesh. In the
    picture the displacement itself is laid on each expression's own surface: above the surface without, below
    it with detail.

    Args:
        table, coarse_arrays, detail_arrays: see `export.prepare_shard`.
    Raises:
        FacemillError: the photo is unknown or has no detail; arrays do not belong to the table.
        ValueError: an expression names a blendshape that the model does not have.
    """
    rows = rows_with_detail(table, [photo])
    expressions = expressions_of(model, settings.expressions)
    shard = prepare_shard(
        rows, coarse_arrays, detail_arrays, model, originals, settings.texture_size, level=1
    )
    row = {str(key): value for key, value in rows.iloc[0].items()}
    face = shard.posed(row)
    fine = shard.fine(face, photo)
    atlas, topology = shard.maps.atlas, model.topology
    texture = face_texture(face, shard.texture_atlas, originals.pixels(row["file"]))
    normals = as_colours(tangent_normals(atlas, face.shape, fine.displacement))
    coefficients = face.coefficients
    with torch.no_grad():
        shapes = {
            name: model.shape(coefficients.identity, expression)[0]
            for name, expression in expressions.items()
        }
    folder = Path(folder)
    with atomic_folder(folder / "expressions") as partial_folder:
        for name, shape in shapes.items():
            mesh = Mesh(
                shape.double().numpy(),
                topology.triangles.numpy(),
                None,
                topology.uv.double().numpy(),
                topology.uv_triangles.numpy(),
            )
            write_glb(
                partial_folder / f"{name}.glb", mesh, texture, "JPEG", settings.texture_quality, normals
            )
    side = settings.picture_side
    faces = torch.cat([shape[topology.regions["face"]] for shape in shapes.values()])
    camera = pictures.framed(faces, _upright(), side)
    columns = []
    for shape in shapes.values():
        there = replace(fine, shape=shape)
        views = [pictures.grey_view(one, camera, side, torch.eye(3)) for one in (there.coarse(), there)]
        columns.append(np.concatenate(views))
    with atomic_path(folder / "expressions.png") as partial:
        Image.fromarray(np.concatenate(columns, axis=1)).save(partial, format="PNG", compress_level=3)
    return AnimatedFace(
        folder / "expressions.png", {name: folder / "expressions" / f"{name}.glb" for name in shapes}
    )


def expressions_of(
    model: MorphableModel, expressions: Mapping[str, Mapping[str, float]]
) -> dict[str, Tensor]:
    """Expression coefficients (1, E) by name.

    A model without blendshapes shows neutral, and its first coefficients at `PLAIN_STRENGTH` deviations.

    Raises:
        ValueError: a name that is no blendshape of the model.
    """
    if model.blendshape_names:
        return {name: model.expression_of(dict(strengths)) for name, strengths in expressions.items()}
    logger.info("the model has no blendshapes: its first expression coefficients are shown")
    neutral = torch.zeros(1, model.expression_count)
    found = {"neutral": neutral}
    for number in range(min(PLAIN_COUNT, model.expression_count)):
        found[f"coefficient_{number + 1}"] = neutral.clone()
        found[f"coefficient_{number + 1}"][0, number] = PLAIN_STRENGTH
    return found


def _upright() -> Camera:
    """The camera of the crops, in front of a head that is not turned."""
    return deep3d_crop_camera()
