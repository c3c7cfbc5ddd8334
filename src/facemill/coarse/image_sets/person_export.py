"""Everything that people and other programs want of a person, in one folder."""

from __future__ import annotations

import logging
import shutil
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image

from facemill.coarse.export import write_neutral, write_numbers
from facemill.coarse.export_settings import ExportPersonSettings
from facemill.coarse.image_sets.person_pictures import ShownPhoto, contact_picture, neutral_views
from facemill.coarse.image_sets.person_texture import PersonTexture, SeenFace, look_at, person_texture
from facemill.faces.crop_camera import crop_camera
from facemill.faces.decode import FaceDecoder
from facemill.faces.face_texture import Atlas, prepare_atlas
from facemill.faces.photo_source import PhotoSource
from facemill.faces.pictures import closeup, closeup_from_crop, face_surface, overlay, vertex_shader
from facemill.faces.posed_face import PosedFace, pose_face
from facemill.formats.meshes import write_glb, write_obj
from facemill.geometry.mesh import Mesh
from facemill.models.coefficients import Coefficients, neutral_coefficients
from facemill.models.morphable import MorphableModel
from facemill.runtime.errors import FacemillError, FormatError, PhotoError
from facemill.runtime.files import atomic_folder, write_text
from facemill.runtime.storage import is_machine_fault, named_storage_errors
from facemill.runtime.tables import ERROR, OK, named_rows

LISTED = (
    "photo",
    "file",
    "sitting",
    "used",
    "left_out",
    "left_out_reason",
    "yaw",
    "pitch",
    "roll",
    "likeness",
    "weight",
    "landmark_error",
    "person_landmark_error",
    "photometric_error",
    "person_photometric_error",
)
UNREADABLE = "unreadable_now"
#: What a person lacks that is not ok, the page of docs/ that says why, and the column of names.
WITHOUT = ("reconstruction", "reconstruct_person.md", "person")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PersonShard:
    """What `reconstruct_person` left of a shard: its table of photos, its table of people and its arrays."""

    photos: pd.DataFrame
    people: pd.DataFrame
    arrays: Mapping[str, NDArray]


@dataclass(frozen=True)
class _Exporter:
    """What all people of a shard share, prepared once."""

    decoder: FaceDecoder
    whole: MorphableModel
    atlas: Atlas
    shard: PersonShard
    originals: PhotoSource
    output_folder: Path
    settings: ExportPersonSettings


@dataclass(frozen=True)
class _Face:
    """A photo of the person as reconstructed, and the row of the person's table that is about it."""

    name: str
    row: int
    face: PosedFace
    confidence: float


def export_people(
    shard: PersonShard,
    model: MorphableModel,
    originals: PhotoSource,
    output_folder: str | Path,
    settings: ExportPersonSettings,
    people: Iterable[str] | None = None,
    strict: bool = False,
    whole: MorphableModel | None = None,
) -> pd.DataFrame:
    """Write `<output_folder>/<person>/` for each person; the files are those of docs/export_person.md.

    A person that is not reconstructed or cannot be written becomes a row with a reason; a folder is complete
    or absent, and one that an earlier run left of such a person goes. A photo that cannot be read any more is
    left out of pictures and texture, and `photos.csv` says so.

    Args:
        people: only these; then what goes wrong with them is raised.
        strict: let unforeseen exceptions through (tests do).
        whole: a model with the same coefficients and more of the head, for `neutral.obj`; `model` when None.
    Returns:
        `person`, `status`, `reason` and `folder`, a row per person.
    Raises:
        FacemillError: one of `people` is not in the shard, was not reconstructed, or has no readable photo.
        FormatError: the arrays lack a person of status `ok`.
    """
    named = None if people is None else list(people)
    rows = (
        shard.people
        if named is None
        else named_rows(shard.people, named, "reconstruction", "reconstruct_person.md", "person")
    )
    exporter = _Exporter(
        FaceDecoder(model, crop_camera(shard.arrays)),
        whole or model,
        prepare_atlas(model.topology, settings.texture_size),
        shard,
        originals,
        Path(output_folder),
        settings,
    )
    found = []
    for row in rows.to_dict("records"):
        name = str(row["person"])
        result = {"person": name, "status": str(row["status"]), "reason": str(row["reason"]), "folder": ""}
        if result["status"] == OK:
            try:
                result["folder"] = str(_export(name, exporter))
            except FacemillError as error:
                if named is not None or strict or is_machine_fault(error):
                    raise
                result |= {"status": ERROR, "reason": error.sentence}
            except Exception as error:  # a person must not end the shard: it ends as a row
                if named is not None or strict or is_machine_fault(error):
                    raise
                logger.error("%s: %s", name, traceback.format_exc())
                result |= {"status": ERROR, "reason": f"{type(error).__name__}: {error}"}
        if result["status"] != OK:
            _remove_folder(exporter.output_folder, name)
        found.append(result)
    return pd.DataFrame(found, columns=["person", "status", "reason", "folder"])


def _remove_folder(folder: Path, name: str) -> None:
    """Remove what an earlier run left of a person; nothing outside `folder`, whatever the name."""
    place = folder / name
    if place.parent == folder and name != ".." and place.is_dir() and not place.is_symlink():
        with named_storage_errors(place):
            shutil.rmtree(place)


def _export(name: str, exporter: _Exporter) -> Path:
    photos = exporter.shard.photos
    listed = photos[photos["person"] == name].reset_index(drop=True)
    person, posed = _faces(name, listed, exporter)
    neutral = _neutral_face(person, exporter.decoder)
    folder = exporter.output_folder / name
    with atomic_folder(folder) as partial:
        looks = [(each, _show(partial / "photos" / each.name, each, listed, exporter)) for each in posed]
        readable = [(each, look) for each, look in looks if look is not None]
        if not readable:
            raise FacemillError(
                f"person {name} has no photo that can be read",
                "the photos that the person was reconstructed from",
                "; ".join(listed["left_out_reason"].loc[listed["left_out"] == UNREADABLE]),
                "put them back, or reconstruct the person again",
            )
        faces = [each for each, _ in readable]
        texture = person_texture(
            [look.seen for _, look in readable],
            [each.confidence for each in faces],
            neutral.albedo,
            exporter.atlas,
        )
        write_neutral(partial, exporter.whole, person)
        _write_textured(partial, neutral, texture, exporter)
        listing = _with_texture(listed, faces, texture)
        write_text(partial / "photos.csv", listing.to_csv(index=False))
        views = neutral_views(neutral, texture.texture, exporter.atlas.topology, exporter.settings)
        picture = contact_picture([look.shown for _, look in readable], views, exporter.settings)
        Image.fromarray(picture).save(partial / "person.png", compress_level=3)
    return folder


def _faces(name: str, listed: pd.DataFrame, exporter: _Exporter) -> tuple[Coefficients, list[_Face]]:
    """The person's coefficients (one row, without pose) and each used photo."""
    arrays = exporter.shard.arrays
    places = np.flatnonzero(arrays["person"] == name)
    if not len(places):
        raise FormatError(
            f"the arrays of reconstruct_person lack {name}",
            "a row per person of status ok",
            ", ".join(arrays["person"][:5].tolist()) or "nobody",
            "table and arrays are of different runs: run reconstruct_person again",
        )
    place = int(places[0])
    shared = {key: torch.from_numpy(arrays[key][place : place + 1]) for key in ("identity", "albedo")}
    rows = {str(photo): row for row, photo in enumerate(listed["photo"])}
    faces = []
    for index in np.flatnonzero(arrays["person_row"] == place):
        photo = str(arrays["photo"][index])
        row = rows[photo]
        own = {
            field.name: torch.from_numpy(arrays[field.name][index : index + 1])
            for field in fields(Coefficients)
            if field.name not in shared
        }
        transform = np.asarray(listed.at[row, "photo_from_crop"], dtype=np.float64).reshape(3, 3)
        face = pose_face(exporter.decoder, Coefficients(**shared, **own), transform)
        faces.append(_Face(photo, row, face, float(arrays["confidence"][index])))
    nothing = neutral_coefficients(exporter.decoder.model, 1)
    person = Coefficients(
        **shared,
        **{
            field.name: getattr(nothing, field.name)
            for field in fields(Coefficients)
            if field.name not in shared
        },
    )
    return person, faces


def _neutral_face(person: Coefficients, decoder: FaceDecoder) -> PosedFace:
    return pose_face(decoder, person, np.eye(3))


def _write_textured(folder: Path, neutral: PosedFace, texture: PersonTexture, exporter: _Exporter) -> None:
    topology = exporter.atlas.topology
    mesh = Mesh(
        neutral.shape.double().numpy(),
        topology.triangles.numpy(),
        None,
        topology.uv.double().numpy(),
        topology.uv_triangles.numpy(),
    )
    write_glb(folder / "mesh.glb", mesh, texture.texture, "JPEG", exporter.settings.texture_quality)
    Image.fromarray(texture.texture).save(folder / "texture.png", compress_level=3)
    Image.fromarray(texture.seen).save(folder / "texture_mask.png", compress_level=3)


class _Look(NamedTuple):
    """What stays of a photo when its original is freed: for the texture, and for the contact picture."""

    seen: SeenFace
    shown: ShownPhoto


def _show(folder: Path, photo: _Face, listed: pd.DataFrame, exporter: _Exporter) -> _Look | None:
    """Write the files of one photo; None when its original is gone, which `listed` learns."""
    try:
        original = exporter.originals.pixels(str(listed.at[photo.row, "file"]))
    except PhotoError as error:
        listed.loc[photo.row, "used"] = False
        listed.loc[photo.row, ["left_out", "left_out_reason"]] = [UNREADABLE, error.reason]
        return None
    shown = _write_photo(folder, photo, original, exporter)
    return _Look(look_at(photo.face, exporter.atlas, original), shown)


def _write_photo(folder: Path, photo: _Face, original: NDArray[np.uint8], exporter: _Exporter) -> ShownPhoto:
    """The files of one photo in `folder`; what the contact picture shows of it."""
    folder.mkdir(parents=True)
    face, topology, side = photo.face, exporter.atlas.topology, exporter.settings.overlay_side
    triangles = topology.triangles.numpy()
    mesh = Mesh(face.shape.double().numpy(), triangles, face.albedo.double().numpy())
    write_obj(folder / "mesh.obj", mesh)
    write_numbers(folder, face, original.shape[:2], side)
    view = closeup(original, face, side)
    camera = face.crop_camera.cropped(torch.from_numpy(closeup_from_crop(side)))
    surface = face_surface(face, topology)
    laid = overlay(view, camera, surface, vertex_shader(face.colors, surface.triangles))
    Image.fromarray(laid).save(folder / "overlay.png", compress_level=3)
    return ShownPhoto(view, laid)


def _with_texture(listed: pd.DataFrame, faces: list[_Face], texture: PersonTexture) -> pd.DataFrame:
    """The rows of photos.csv: what was found of each photo, and how it went into the texture."""
    table = listed[[name for name in LISTED if name in listed]].copy()
    at = [each.row for each in faces]
    for place, name in enumerate(("gain_red", "gain_green", "gain_blue")):
        table.loc[at, name] = texture.gains[:, place]
    table.loc[at, "sharpness"] = texture.sharpness
    return table
