"""What people and other programs want of a face with detail, in one folder per photo."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from facemill.detail import pictures
from facemill.detail.detail_results import DetailMaps, read_detail
from facemill.detail.export_settings import ExportDetailSettings
from facemill.detail.fine_face import FineFace
from facemill.detail.normal_maps import object_normal_map, tangent_normals
from facemill.detail.surface import DenseSurface
from facemill.faces.coarse_faces import CoarseFaces, read_coarse
from facemill.faces.face_texture import Atlas, face_texture, prepare_atlas
from facemill.faces.photo_source import PhotoSource
from facemill.faces.pictures import to_bytes
from facemill.faces.posed_face import PosedFace
from facemill.faces.tangent_maps import as_colours
from facemill.formats.displacement import write_displacement
from facemill.formats.meshes import write_glb, write_obj
from facemill.geometry.mesh import Mesh
from facemill.models.morphable import MorphableModel
from facemill.runtime.errors import PhotoError
from facemill.runtime.files import merged_folder
from facemill.runtime.tables import OK, map_photos, named_rows

COLUMNS = ("folder",)
#: Folders of other rules beside those of the faces.
RESERVED = ("pack_detail", "train_detail", "reconstruct_detail", "export_detail")


@dataclass(frozen=True)
class Shard:
    """What all faces of a shard share, prepared once."""

    faces: CoarseFaces
    maps: DetailMaps
    texture_atlas: Atlas
    dense: DenseSurface
    originals: PhotoSource

    def posed(self, row: Mapping[str, Any]) -> PosedFace:
        """The coarse face of a row of `reconstruct_detail`."""
        return self.faces.posed(row["photo"], row["photo_from_crop"])

    def fine(self, face: PosedFace, photo: str) -> FineFace:
        """The same face with its detail."""
        return FineFace(self.maps.atlas, self.dense, face.shape, self.maps.displacement_of(photo))


def prepare_shard(
    table: pd.DataFrame,
    coarse_arrays: Mapping[str, NDArray],
    detail_arrays: Mapping[str, NDArray],
    model: MorphableModel,
    originals: PhotoSource,
    texture_size: int,
    level: int,
) -> Shard:
    """Prepare what all faces of a shard share.

    Args:
        table: of `reconstruct_detail`.
        coarse_arrays: of `reconstruct_coarse`; detail_arrays: of `reconstruct_detail`.
        level: of the dense surface.
    Raises:
        FormatError: table and arrays do not belong together, or the model's atlas is refused.
    """
    return Shard(
        read_coarse(table, coarse_arrays, model),
        read_detail(table, detail_arrays, model.topology),
        prepare_atlas(model.topology, texture_size),
        DenseSurface(model.topology, level),
        originals,
    )


def export_detail(
    table: pd.DataFrame,
    coarse_arrays: Mapping[str, NDArray],
    detail_arrays: Mapping[str, NDArray],
    model: MorphableModel,
    originals: PhotoSource,
    output_folder: str | Path,
    settings: ExportDetailSettings,
    photos: Iterable[str] | None = None,
    strict: bool = False,
) -> pd.DataFrame:
    """Write `<output_folder>/<photo>/` for each `ok` row; the files are those of docs/export_detail.md.

    A face that cannot be written becomes a row with a reason; its files are written together or not at all.

    Args:
        table, coarse_arrays, detail_arrays: see `prepare_shard`.
        photos: only these photos; then what goes wrong with them is raised.
        strict: let unforeseen exceptions through (tests do).
    Returns:
        `table`, or the rows of `photos`, with the column `folder`.
    Raises:
        FacemillError: one of `photos` is not in the table or has no detail.
        FormatError: see `prepare_shard`.
    """
    if photos is not None:
        table, strict = rows_with_detail(table, list(photos)), True
    if not (table["status"] == OK).any():  # without weights there is no atlas either
        return table.assign(folder=None)
    shard = prepare_shard(
        table, coarse_arrays, detail_arrays, model, originals, settings.texture_size, settings.level
    )
    export = partial(_export_row, shard=shard, output_folder=Path(output_folder), settings=settings)
    result = map_photos(table, export, COLUMNS, strict)
    return result if photos is None else rows_with_detail(result, list(result["photo"]))


def rows_with_detail(table: pd.DataFrame, photos: Sequence[str]) -> pd.DataFrame:
    """The rows of some photos; FacemillError unless all of them have detail."""
    return named_rows(table, photos, "detail", "reconstruct_detail.md")


def _export_row(
    row: Mapping[str, Any], shard: Shard, output_folder: Path, settings: ExportDetailSettings
) -> dict[str, str]:
    name = row["photo"]
    if name in RESERVED:
        raise PhotoError("reserved_name", f"{name} is the name of a folder of results; rename the photo")
    photo = shard.originals.pixels(row["file"])
    folder = output_folder / name
    with merged_folder(folder) as partial_folder:  # `animate_detail` writes there, too
        write_detail(partial_folder, shard, shard.posed(row), name, photo, settings)
    return {"folder": str(folder)}


def write_detail(
    folder: Path,
    shard: Shard,
    face: PosedFace,
    name: str,
    photo: NDArray,
    settings: ExportDetailSettings,
) -> None:
    """Write all files of one face into `folder`, which exists.

    Args:
        photo: (H, W, 3) uint8, the whole upright original.
    """
    atlas, topology = shard.maps.atlas, shard.maps.atlas.topology
    fine = shard.fine(face, name)
    texture = face_texture(face, shard.texture_atlas, photo)
    normals = as_colours(tangent_normals(atlas, face.shape, fine.displacement))
    coarse = Mesh(
        face.shape.double().numpy(),
        topology.triangles.numpy(),
        None,
        topology.uv.double().numpy(),
        topology.uv_triangles.numpy(),
    )
    dense = fine.mesh(face.albedo, settings.surface)
    quality = settings.texture_quality
    write_obj(folder / "mesh.obj", dense)
    write_glb(folder / "mesh.glb", coarse, texture, "JPEG", quality, normals)
    write_glb(folder / "dense.glb", dense, texture, "JPEG", quality)
    write_displacement(folder / "displacement.png", fine.whole_displacement.numpy())
    confidence = atlas.whole(shard.maps.confidence_of(name))
    side = settings.picture_side
    maps = {
        "normal": normals,
        "normal_object": object_normal_map(atlas, face.shape, fine.displacement),
        "confidence": to_bytes(confidence),
        "overlay": pictures.detail_overlay(face, fine, photo, side),
        "geometry": pictures.geometry_pair(face, fine, side),
    }
    for stem, picture in maps.items():
        Image.fromarray(picture).save(folder / f"{stem}.png", compress_level=3)
