"""The stage `pack_training`: the pictures and the truth of one shard as arrays that a loader can map."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import sparse

from facemill.coarse.training.batches import (
    ARRAYS,
    DENSE,
    DENSE_VERTICES,
    OF_SHARDS,
    PERSON,
    TUPLE_FLAGS,
    TUPLES,
    person_key,
)
from facemill.coarse.training.labels import LabelMaker, label_maker
from facemill.coarse.training.tuples import tuples_of_sittings, tuples_of_table
from facemill.coarse.training_settings import PackSettings
from facemill.formats.stored_pictures import PNG_OR_JPEG, opened_picture
from facemill.geometry.camera import DEEP3D_SIZE, Camera
from facemill.geometry.image import resize, transform_points
from facemill.models.head import read_compact_head
from facemill.models.head_surface import mixed_surface
from facemill.models.morphable import MorphableModel
from facemill.runtime.errors import FormatError, PhotoError
from facemill.runtime.files import load_arrays
from facemill.runtime.tables import OK, map_photos, read_table

TRUTH = (
    "photo",
    "person_row",
    "base_shape",
    "camera_from_head",
    "intrinsics",
    "strengths",
    "blendshape_names",
    "dense_vertices",
    "dense_landmarks",
)
SKIN_LABEL = 1
PICTURES = (".png", ".jpg")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Truth:
    """What is exactly known of the photos of a synthetic shard; see docs/file_formats.md.

    Attributes:
        arrays: of `<shard>.npz`.
        head: the shipped head, whose subdivision turns base vertices into those of the model.
    """

    arrays: Mapping[str, NDArray]
    head: Path


def read_truth(path: str | Path | None, head: str | Path) -> Truth | None:
    """Read the exact arrays of a shard of `synthesize_photos`; photos have none.

    Raises:
        FormatError: missing, or not such a file.
    """
    return None if path is None else Truth(load_arrays(path, TRUTH), Path(head))


def read_tuples(path: str | Path | None) -> pd.DataFrame | None:
    """Read the tuples that `group_people` found in a shard; other sets have no such file."""
    return None if path is None else read_table(path)


def pack_training(
    table: pd.DataFrame,
    crops_folder: str | Path,
    masks_folder: str | Path,
    model: MorphableModel,
    settings: PackSettings,
    truth: Truth | None = None,
    tuples: pd.DataFrame | None = None,
    strict: bool = False,
    people_set: str = "",
) -> tuple[pd.DataFrame, dict[str, NDArray]]:
    """Read the aligned crops, masks, landmarks and labels of one shard.

    Args:
        table: of `segment_skin` or `synthesize_photos`, with `photo`, `status`, `reason`, `landmarks68`,
            and `photo_from_crop` where there is `truth`.
        crops_folder: `<photo>.png` or `.jpg`: the aligned crop, square, of any size from S pixels.
        masks_folder: `<photo>.png`: skin probability (8 bit), or, with `truth`, labels of which 1 is skin.
        truth: of a synthetic shard; None for photos.
        tuples: of `group_people`; None: synthetic photos have tuples by their true yaw, others none.
        people_set: whose people these are, as in `person_key`.
    Returns:
        The table (a photo whose files cannot be used gets a status), and the arrays of a packed shard
        (`coarse.training.batches`) for the rows that are `ok`, in their order.
    """
    side = DEEP3D_SIZE // settings.reduction
    read = partial(
        _read_photo, crops=Path(crops_folder), masks=Path(masks_folder), side=side, labels=truth is not None
    )
    result = map_photos(table, read, ("crop", "attention"), strict=strict)
    kept = result[result["status"] == OK]
    count = len(kept)
    people = kept[PERSON].fillna("").tolist() if PERSON in kept else [""] * count
    landmarks = [np.reshape(np.asarray(points, np.float32), (68, 2)) for points in kept["landmarks68"]]
    arrays: dict[str, NDArray] = {
        "crops": _stacked(kept["crop"], (side, side, 3), np.uint8),
        "attention": _stacked(kept["attention"], (side, side), np.uint8),
        "landmarks": _stacked(landmarks, (68, 2), np.float32),
        "photo": np.array(kept["photo"].tolist(), dtype=str),
        PERSON: np.array([person_key(str(person), people_set) for person in people], dtype=str),
        "labelled": np.full(count, truth is not None),
        "identity": np.zeros((count, model.identity_count), np.float32),
        "floor": np.zeros(count, np.float32),
        "mean_error": np.zeros(count, np.float32),
        "strengths": np.zeros((count, len(model.blendshape_names)), np.float32),
        "rotation": np.zeros((count, 3), np.float32),
        "translation": np.zeros((count, 3), np.float32),
        DENSE: np.zeros((count, 0, 2), np.float32),
        DENSE_VERTICES: np.zeros(0, np.int64),
    }
    arrays |= dict(zip((TUPLES, TUPLE_FLAGS), _tuples(kept, truth, tuples), strict=True))
    if truth is not None and count:
        arrays |= _labels(truth, kept, model)
    assert set(arrays) == {*ARRAYS, *OF_SHARDS, PERSON}
    logger.info("%d of %d photos packed at %d pixels", count, len(table), side)
    return result.drop(columns=["crop", "attention"]), arrays


def save_packed(folder: str | Path, arrays: Mapping[str, NDArray]) -> None:
    """Write a packed shard into a folder, which exists."""
    for name, array in arrays.items():
        np.save(Path(folder) / f"{name}.npy", array, allow_pickle=False)


def _tuples(
    kept: pd.DataFrame, truth: Truth | None, tuples: pd.DataFrame | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if tuples is None and (truth is None or not {"sitting", "yaw"} <= set(kept)):
        return np.zeros((0, 3), np.int64), np.zeros(0, np.int64)
    return tuples_of_sittings(kept) if tuples is None else tuples_of_table(kept["photo"].tolist(), tuples)


def _read_photo(row: Mapping[str, Any], crops: Path, masks: Path, side: int, labels: bool) -> dict[str, Any]:
    points = np.asarray(row["landmarks68"] if row["landmarks68"] is not None else [], dtype=np.float64)
    if points.shape != (136,) or not np.isfinite(points).all():
        raise PhotoError("bad_landmarks", "its row holds no 68 finite landmarks")
    photo = str(row["photo"])
    crop = _read(_picture(crops, photo), "RGB", side)
    mask = _read(masks / f"{photo}.png", "L", side, labels)
    return {"crop": crop, "attention": mask}


def _picture(folder: Path, photo: str) -> Path:
    found = (folder / f"{photo}{suffix}" for suffix in PICTURES)
    return next((path for path in found if path.is_file()), folder / f"{photo}{PICTURES[0]}")


def _read(path: Path, mode: str, side: int, labels: bool = False) -> NDArray[np.uint8]:
    """A square 8-bit picture, averaged down to `side` pixels; labels become 255 where skin is."""
    expected = "a picture that an earlier stage wrote"
    with opened_picture(path, expected, "make it again", PNG_OR_JPEG) as image:
        found_mode, pixels = image.mode, np.array(image)
    if found_mode != mode or pixels.shape[0] != pixels.shape[1] or pixels.shape[0] < side:
        raise FormatError(
            f"{path} is no aligned {'crop' if mode == 'RGB' else 'mask'}",
            f"a square 8-bit {mode} picture of {side} pixels or more",
            f"{found_mode} of shape {pixels.shape}",
            "give the folder of the set, or raise pack_training.reduction",
        )
    if labels:
        pixels = np.where(pixels == SKIN_LABEL, 255, 0).astype(np.uint8)
    if pixels.shape[0] == side:
        return pixels
    small = resize(pixels, (side, side), "bilinear").image
    return np.clip(np.rint(small), 0, 255).astype(np.uint8)


def _labels(truth: Truth, table: pd.DataFrame, model: MorphableModel) -> dict[str, NDArray]:
    arrays, photos = truth.arrays, table["photo"].astype(str).tolist()
    row_of = {str(photo): row for row, photo in enumerate(arrays["photo"])}
    missing = [photo for photo in photos if photo not in row_of]
    if missing:
        raise FormatError(
            f"the truth of {missing[0]} is missing",
            "a row for each photo of the table",
            f"{len(row_of)} rows, without {len(missing)} of the table's photos",
            "give the .npz that was written with this table",
        )
    rows = [row_of[photo] for photo in photos]
    maker = label_maker(model)
    people = arrays["person_row"][rows]
    shapes = _scored_shapes(truth, maker, model)
    best, floor, mean_error = maker.targets(shapes)
    camera = torch.from_numpy(arrays["camera_from_head"][rows]).double()
    photo_from_crop = np.stack([np.reshape(row, (3, 3)) for row in table["photo_from_crop"]])
    crop_from_photo = np.linalg.inv(photo_from_crop)
    intrinsics = torch.from_numpy(crop_from_photo @ arrays["intrinsics"][rows])
    cameras = Camera(camera[:, :, :3], camera[:, :, 3], intrinsics)
    rotation, translation = maker.poses(best[people], shapes[people], cameras)
    dense = [
        transform_points(crop_from_photo[place], arrays["dense_landmarks"][row])
        for place, row in enumerate(rows)
    ]
    found = {
        "identity": best[people],
        "floor": floor[people],
        "mean_error": mean_error[people],
        "rotation": rotation,
        "translation": translation,
    }
    strengths = _strengths(arrays["strengths"][rows], arrays["blendshape_names"], model)
    return {
        **{n: v.float().numpy() for n, v in found.items()},
        "strengths": strengths,
        DENSE: _stacked(dense, arrays["dense_landmarks"].shape[1:], np.float32),
        DENSE_VERTICES: arrays["dense_vertices"].astype(np.int64),
    }


def _scored_shapes(truth: Truth, maker: LabelMaker, model: MorphableModel) -> torch.Tensor:
    """Scored vertices (P, R, 3) of the people of the shard."""
    head = read_compact_head(truth.head)
    surface = mixed_surface(head.quads, head.refined, len(head.mean_shape))
    base = truth.arrays["base_shape"].astype(np.float64)
    if surface.operator.shape[0] != model.vertex_count or base.shape[1] != surface.operator.shape[1]:
        raise FormatError(
            "the synthetic people are of another head than the model of this run",
            f"{model.vertex_count} vertices from {base.shape[1]} base vertices",
            f"{surface.operator.shape[0]} from {surface.operator.shape[1]} in {truth.head}",
            "use model: head, or photos without labels",
        )
    operator: sparse.csr_matrix = surface.operator.tocsr()[maker.vertices.numpy()]
    return torch.from_numpy(np.stack([operator @ shape for shape in base]))


def _strengths(given: NDArray, names: Iterable[str], model: MorphableModel) -> NDArray[np.float32]:
    """Strengths in the model's order of blendshapes."""
    places = {str(name): place for place, name in enumerate(names)}
    unknown = [name for name in model.blendshape_names if name not in places]
    if unknown:
        raise FormatError(
            "the synthetic faces have other blendshapes than the model",
            ", ".join(model.blendshape_names[:4]) + ", …",
            f"none called {unknown[0]}",
            "use model: head",
        )
    return given[:, [places[name] for name in model.blendshape_names]].astype(np.float32)


def _stacked(items: Iterable[NDArray], shape: tuple[int, ...], dtype: type) -> NDArray:
    rows = list(items)
    return np.stack(rows).astype(dtype) if rows else np.zeros((0, *shape), dtype)
