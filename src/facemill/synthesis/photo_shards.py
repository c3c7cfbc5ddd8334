"""One shard of a set of synthetic photographs: pictures, the table of their truth, and exact arrays."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facemill.geometry.camera import inverse_intrinsics
from facemill.geometry.five_points import five_of_68
from facemill.geometry.image import transform_points
from facemill.models.head_builder.skin import Complexion
from facemill.runtime.seeds import generator_of
from facemill.runtime.tables import OK
from facemill.synthesis.accessory import SKIN
from facemill.synthesis.body import Skin, Studio
from facemill.synthesis.camera import CROP_SIZE, View, crop_view
from facemill.synthesis.identities import Person, Population
from facemill.synthesis.photo_files import PhotoFiles, nearest_depth
from facemill.synthesis.photograph import Photograph
from facemill.synthesis.settings import PhotoTask, SynthesizePhotosSettings
from facemill.synthesis.sitting import Sitting, Studies
from facemill.synthesis.splits import members_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Taken:
    """One photograph and how it was taken."""

    photo: str
    person: Person
    sitting_name: str
    sitting: Sitting
    skin: Skin
    view: View
    photograph: Photograph


def synthesize_photos(
    population: Population,
    task: PhotoTask,
    settings: SynthesizePhotosSettings,
    shard: str,
    pictures: str | Path,
) -> tuple[pd.DataFrame, dict[str, NDArray]]:
    """Photograph the people of one shard.

    A photograph depends on the seed, the person, its number and the settings alone: not on the shard, not on
    the other views of its sitting, and not on what other processes do.

    Args:
        shard: its number, as text.
        pictures: folder, which exists, for the files of `PhotoFiles`.
    Returns:
        The table (columns of the photo stages, then the truth), one row per photograph; and arrays: per
        person `person`, `base_shape`, `complexion`; per photo `photo`, `person_row`, the camera, `lighting`,
        `strengths`, `landmarks68`, `visible68`, `dense_landmarks` (the vertices `dense_vertices`).
    """
    studio = Studio(population, task.surface_level, task.wrinkles)
    files = PhotoFiles(Path(pictures), task, studio)
    people: list[Person] = []
    rows, exact = [], []
    studies = Studies(studio, task, settings)
    for taken in _photographs(studies, population, task, settings, shard):
        if not people or people[-1].number != taken.person.number:
            people.append(taken.person)
        files.write(taken.photo, taken.photograph, taken.skin, taken.view)
        rows.append(_row(taken, task, shard))
        exact.append(_exact(taken, len(people) - 1))
    logger.info("shard %s: %d photographs of %d people", shard, len(rows), len(people))
    arrays = {name: np.stack([one[name] for one in exact]) for name in exact[0]}
    arrays["photo"] = np.array([row["photo"] for row in rows])
    arrays["person"] = np.array([person.name for person in people])
    arrays["base_shape"] = np.stack([person.base_shape for person in people]).astype(np.float32)
    arrays["complexion"] = np.stack([_numbers(person.complexion) for person in people])
    arrays["dense_vertices"] = studies.photographer.landmarks.dense
    arrays["blendshape_names"] = np.array(population.blendshape_names)
    return pd.DataFrame(rows), arrays


def people_of(task: PhotoTask, shard: str) -> list[int]:
    """Numbers of the people of one shard, the last of which may be shorter.

    >>> people_of(PhotoTask(split="val", first=1, identities=3, shard_size=2), "0001")
    [31]
    """
    begin = int(shard) * task.shard_size
    count = min(task.shard_size, task.identities - begin)
    if count < 1:
        raise ValueError(f"shard: expected one that holds people, found {shard!r}")
    return members_of(task.split, task.first + begin, count)


def _photographs(
    studies: Studies, population: Population, task: PhotoTask, settings: SynthesizePhotosSettings, shard: str
) -> Iterator[_Taken]:
    for number in people_of(task, shard):
        person = population.person(number)
        sitter = studies.prepare(person)
        for count in range(task.photos_per_identity):
            photo = f"{person.name}_{count:02d}"
            number, place = divmod(count, task.views_per_sitting)
            own = generator_of(settings.seed, "photo", photo)
            shared = own
            if task.views_per_sitting > 1:
                shared = generator_of(settings.seed, "sitting", f"{person.name}_{number:02d}")
            sitting, skin, view, picture = studies.take(sitter, shared, place, own)
            yield _Taken(photo, person, f"{number:02d}", sitting, skin, view, picture)


def _row(taken: _Taken, task: PhotoTask, shard: str) -> dict[str, Any]:
    """The row of one photograph."""
    picture, view, sitting = taken.photograph, taken.view, taken.sitting
    height, width = view.size
    points = picture.landmarks68
    suffix = task.pictures
    photo_from_crop = _photo_from_crop(view, points, task)
    crop = transform_points(np.linalg.inv(photo_from_crop), points)
    five = five_of_68(points)
    corners = transform_points(photo_from_crop, np.array([[-0.5, -0.5], [CROP_SIZE - 0.5] * 2]))
    within = np.clip(corners, -0.5, np.array([width, height]) - 0.5)
    return {
        "photo": taken.photo,
        "file": f"{taken.photo}.{suffix}",
        "points_file": None,
        "version": "",
        "status": OK,
        "reason": "",
        "shard": shard,
        "width": width,
        "height": height,
        "format": {"jpg": "JPEG", "png": "PNG"}[suffix],
        "bytes": len(picture.jpeg),
        "face_count": 1,
        "score": 1.0,
        "box": [*points.min(axis=0).tolist(), *points.max(axis=0).tolist()],
        "points5": five.ravel().tolist(),
        "points_source": "truth",
        "photo_from_crop": photo_from_crop.ravel().tolist(),
        "crop_scale": float(1 / photo_from_crop[0, 0]),
        "crop_outside": float(1 - np.prod(np.ptp(within, axis=0)) / np.prod(np.ptp(corners, axis=0))),
        "landmarks68": crop.ravel().tolist(),
        "landmark_score": 1.0,
        "skin_share": float((picture.labels == SKIN).mean()) if task.framing == "crop" else float("nan"),
        "person": taken.person.name,
        "sitting": taken.sitting_name,
        "split": taken.person.split,
        "yaw": view.yaw,
        "pitch": view.pitch,
        "roll": view.roll,
        "expression": sitting.expression,
        "strengths": sitting.strengths.tolist(),
        "visible68": picture.visible68.tolist(),
        "occluders": list(sitting.occluders),
        "light": sitting.light,
        "focal": view.focal,
        "distance": view.distance,
        "depth_of_0": nearest_depth(view),
    }


def _photo_from_crop(view: View, points: NDArray, task: PhotoTask) -> NDArray[np.float64]:
    """Takes pixels of the 224 crop to pixels of the picture (for a crop itself nothing but its size)."""
    size = view.size[1]
    crop = view if task.framing == "crop" else crop_view(view, five_of_68(points))
    intrinsics = crop.camera.intrinsics
    if task.framing == "crop":
        grown = size / CROP_SIZE
        shift = (grown - 1) / 2
        return np.array([[grown, 0.0, shift], [0.0, grown, shift], [0.0, 0.0, 1.0]])
    # Both see the same rays: K_photo = photo_from_crop K_crop.
    return np.asarray((view.camera.intrinsics @ inverse_intrinsics(intrinsics)).numpy())


def _exact(taken: _Taken, person_row: int) -> dict[str, NDArray]:
    camera, picture = taken.photograph.camera, taken.photograph
    return {
        "person_row": np.array(person_row),
        "camera_from_head": np.concatenate(
            [camera.rotation.numpy(), camera.translation.numpy()[:, None]], axis=1
        ),
        "intrinsics": camera.intrinsics.numpy(),
        "lighting": picture.lighting,
        "strengths": taken.sitting.strengths,
        "landmarks68": picture.landmarks68,
        "visible68": picture.visible68,
        "dense_landmarks": picture.dense_landmarks,
    }


def _numbers(complexion: Complexion) -> NDArray[np.float64]:
    """The fields of a complexion in order, colours as three numbers each."""
    return np.concatenate([np.atleast_1d(getattr(complexion, field.name)) for field in fields(complexion)])
