"""Everything that people and other programs want of a face, in one folder per photo."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image

from facemill.coarse.export_settings import ExportSettings
from facemill.faces import pictures
from facemill.faces.coarse_faces import CoarseFaces, read_coarse
from facemill.faces.face_texture import Atlas, face_texture, prepare_atlas
from facemill.faces.photo_source import PhotoSource
from facemill.faces.posed_face import PosedFace
from facemill.formats.deep3d import Deep3DCoefficients, write_deep3d
from facemill.formats.meshes import write_glb, write_obj
from facemill.formats.stored_pictures import opened_picture
from facemill.geometry.camera import Camera
from facemill.geometry.image import resize
from facemill.geometry.mesh import Mesh
from facemill.models.coefficients import Coefficients
from facemill.models.morphable import MorphableModel
from facemill.models.topology import Topology
from facemill.runtime.errors import PhotoError
from facemill.runtime.files import atomic_folder, write_json, write_text
from facemill.runtime.storage import MADE_ANEW_FOLDER, DamagedFileError
from facemill.runtime.tables import map_photos, named_rows

COLUMNS = ("folder",)
#: Folders of other rules beside those of the faces.
RESERVED = ("reconstruct_coarse", "export_coarse")
#: What a photo lacks that is not ok, and the page of docs/ that says why.
WITHOUT = ("reconstruction", "detect_faces.md")


@dataclass(frozen=True)
class _Exporter:
    """What all faces of a shard share, prepared once."""

    faces: CoarseFaces
    whole: MorphableModel
    atlas: Atlas
    crops_folder: Path
    originals: PhotoSource
    output_folder: Path
    settings: ExportSettings


def export_coarse(
    table: pd.DataFrame,
    arrays: Mapping[str, NDArray],
    model: MorphableModel,
    crops_folder: str | Path,
    originals: PhotoSource,
    output_folder: str | Path,
    settings: ExportSettings,
    photos: Iterable[str] | None = None,
    strict: bool = False,
    whole: MorphableModel | None = None,
) -> pd.DataFrame:
    """Write `<output_folder>/<photo>/` for each `ok` row; the files are those of docs/export_coarse.md.

    A face that cannot be written becomes a row with a reason; a folder is complete or absent.

    Args:
        table: of `reconstruct_coarse`: `photo`, `file`, `status`, `reason`, `photo_from_crop` and more.
        arrays: of `reconstruct_coarse`: `photo` (N,) and the fields of `Coefficients`, a row per `ok` photo.
        crops_folder: holds `<photo>.png`, the aligned crops.
        photos: only these photos; then what goes wrong with them is raised.
        strict: let unforeseen exceptions through (tests do).
        whole: a model with the same coefficients and more of the head, for `neutral.obj`; `model` when None.
    Returns:
        `table`, or the rows of `photos`, with the column `folder`.
    Raises:
        FacemillError: one of `photos` is not in the table, was not reconstructed, or cannot be read any more.
        FormatError: `arrays` lacks a field or an `ok` photo, or is of another model.
        ValueError: the model lacks a landmark or an atlas, or `whole` has other coefficients.
    """
    whole = whole or model
    _check_whole(whole, model)
    if photos is not None:
        photos, strict = list(photos), True
        table = named_rows(table, photos, *WITHOUT)
    exporter = _Exporter(
        read_coarse(table, arrays, model),
        whole,
        prepare_atlas(model.topology, settings.texture_size),
        Path(crops_folder),
        originals,
        Path(output_folder),
        settings,
    )
    result = map_photos(table, partial(_export_row, exporter=exporter), COLUMNS, strict)
    return result if photos is None else named_rows(result, photos, *WITHOUT)


def _export_row(row: Mapping[str, Any], exporter: _Exporter) -> dict[str, str]:
    name = row["photo"]
    if name in RESERVED:
        raise PhotoError("reserved_name", f"{name} is the name of a folder of results; rename the photo")
    face = exporter.faces.posed(name, row["photo_from_crop"])
    photo = exporter.originals.pixels(row["file"])
    crop = _read_crop(exporter.crops_folder / f"{name}.png")
    folder = exporter.output_folder / name
    with atomic_folder(folder) as partial_folder:
        write_face(partial_folder, face, exporter.atlas, photo, crop, exporter.settings)
        write_neutral(partial_folder, exporter.whole, face.coefficients)
    return {"folder": str(folder)}


def write_face(
    folder: Path,
    face: PosedFace,
    atlas: Atlas,
    photo: NDArray[np.uint8],
    crop: NDArray[np.uint8],
    settings: ExportSettings,
) -> None:
    """Write all files of one face into `folder`, which exists, but those of `write_neutral`.

    Args:
        photo: (H, W, 3) the whole upright original.
        crop: (224, 224, 3).
    """
    topology = atlas.topology
    texture = face_texture(face, atlas, photo)
    _write_surfaces(folder, face, topology, texture, settings.texture_quality)
    write_numbers(folder, face, photo.shape[:2], settings.closeup_side)
    _write_pictures(folder, face, topology, texture, photo, crop, settings)


def write_neutral(folder: Path, whole: MorphableModel, coefficients: Coefficients) -> None:
    """Write `neutral.obj`, the whole head without expression, and NoW's seven points on it.

    Args:
        coefficients: of a batch of one.
    """
    with torch.no_grad():
        shape = whole.shape(coefficients.identity, torch.zeros_like(coefficients.expression))[0].double()
    write_obj(folder / "neutral.obj", Mesh(shape.numpy(), whole.topology.triangles.numpy()))
    _write_points(folder / "now_landmarks.txt", shape[whole.topology.now_landmarks].numpy())


def _write_surfaces(
    folder: Path, face: PosedFace, topology: Topology, texture: NDArray[np.uint8], quality: int
) -> None:
    triangles = topology.triangles.numpy()
    shape = face.shape.double().numpy()
    plain = Mesh(shape, triangles)
    textured = Mesh(shape, triangles, None, topology.uv.double().numpy(), topology.uv_triangles.numpy())
    write_obj(folder / "mesh.obj", Mesh(shape, triangles, face.albedo.double().numpy()))
    write_obj(folder / "mesh_plain.obj", plain)
    write_glb(folder / "mesh.glb", textured, texture, "JPEG", quality)


def write_numbers(folder: Path, face: PosedFace, photo_size: tuple[int, ...], closeup_side: int) -> None:
    """Write coefficients, cameras and landmarks of one face into `folder`; photo_size: height, width."""
    found = face.coefficients
    values = {
        name: getattr(found, name)[0].double().numpy()
        for name in ("identity", "expression", "albedo", "rotation", "lighting", "translation")
    }
    write_deep3d(folder / "coefficients.mat", Deep3DCoefficients(**values, landmarks68=face.landmarks68_crop))
    camera = face.crop_camera
    write_json(
        folder / "camera.json",
        {
            "camera_from_head": _rows_of(camera.extrinsics),
            "intrinsics_crop": _rows_of(camera.intrinsics),
            "intrinsics_photo": _rows_of(face.photo_camera.intrinsics),
            "photo_from_crop": face.photo_from_crop.tolist(),
            "closeup_from_crop": pictures.closeup_from_crop(closeup_side).tolist(),
            "crop_size": [224, 224],
            "photo_size": [int(photo_size[1]), int(photo_size[0])],
            "conventions": "x_camera = camera_from_head (x_head, 1): x right, y down, z forward; mm. "
            "Pixels: x right, y down, (0, 0) is the centre of the top-left pixel; sizes: (width, height)",
        },
    )
    _write_points(folder / "landmarks68.txt", face.landmarks68_photo)
    _write_points(folder / "landmarks68_crop.txt", face.landmarks68_crop)
    _write_points(folder / "landmarks68_3d.txt", face.landmarks68_3d)


def _write_pictures(
    folder: Path,
    face: PosedFace,
    topology: Topology,
    texture: NDArray[np.uint8],
    photo: NDArray[np.uint8],
    crop: NDArray[np.uint8],
    settings: ExportSettings,
) -> None:
    surface = pictures.face_surface(face, topology)
    lit = pictures.vertex_shader(face.colors, surface.triangles)
    reduced, camera = _bounded(photo, face.photo_camera, settings.overlay_side)
    side = settings.closeup_side
    closeup = pictures.closeup(photo, face, side)
    closeup_camera = face.crop_camera.cropped(torch.from_numpy(pictures.closeup_from_crop(side)))
    views = {
        "overlay_crop": pictures.overlay(crop, face.crop_camera, surface, lit),
        "overlay": pictures.overlay(reduced, camera, surface, lit),
        "closeup": closeup,
        "closeup_overlay": pictures.overlay(closeup, closeup_camera, surface, lit),
        "geometry": pictures.geometry(face, topology, side),
        "turned": pictures.turned_views(face, topology, texture, settings.turned_yaws, side),
    }
    for name, picture in views.items():
        Image.fromarray(picture).save(folder / f"{name}.png", compress_level=3)


def _bounded(photo: NDArray[np.uint8], camera: Camera, longest: int) -> tuple[NDArray[np.uint8], Camera]:
    """The photo, reduced when its longer side exceeds `longest`, and its camera."""
    height, width = photo.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return photo, camera
    resized = resize(photo, (max(1, round(height * scale)), max(1, round(width * scale))))
    return np.asarray(resized.image), camera.cropped(torch.from_numpy(resized.resized_from_image))


def _check_whole(whole: MorphableModel, model: MorphableModel) -> None:
    if int(whole.topology.now_landmarks.min()) < 0:
        raise ValueError("model: expected a vertex for each of the 7 landmarks of NoW, found one without")
    counts = [(m.identity_count, m.expression_count) for m in (model, whole)]
    if counts[0] != counts[1]:
        raise ValueError(
            f"whole: expected {counts[0]} identity and expression coefficients as the model has, "
            f"found {counts[1]}"
        )


def _read_crop(path: Path) -> NDArray[np.uint8]:
    with opened_picture(path, "the aligned crop", MADE_ANEW_FOLDER, refusal=DamagedFileError) as image:
        return np.array(image.convert("RGB"))


def _write_points(path: Path, points: NDArray) -> None:
    write_text(path, "".join(" ".join(f"{value:.6f}" for value in point) + "\n" for point in points.tolist()))


def _rows_of(matrix: torch.Tensor) -> list[list[float]]:
    return [[float(value) for value in row] for row in matrix.double().tolist()]
