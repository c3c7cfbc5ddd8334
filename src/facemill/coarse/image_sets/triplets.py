"""Tuples of views as MGCNet's training files: its alignment, its picture strips, its lists."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facemill.faces.crops import read_crop, read_mask
from facemill.formats.mgcnet import (
    SIDE,
    TEMPLATE,
    Triplet,
    TripletName,
    mgcnet_intrinsics,
    template_points,
    write_triplet,
)
from facemill.geometry.image import transform_points
from facemill.geometry.sampling import warp
from facemill.geometry.similarity import fit_similarity
from facemill.runtime.files import atomic_folder

ROLES = ("source1", "target", "source2")
COLUMNS = ["subfolder", "frame", "flag", "person", "sitting", *ROLES, "reason"]

logger = logging.getLogger(__name__)


class AlignedView(NamedTuple):
    """One view in MGCNet's crop: picture (224, 224, 3) and skin (224, 224) uint8, landmarks (68, 2)."""

    picture: NDArray[np.uint8]
    skin: NDArray[np.uint8]
    landmarks: NDArray[np.float64]


def export_triplets(
    table: pd.DataFrame,
    tuples: pd.DataFrame,
    crops_folder: str | Path,
    masks_folder: str | Path,
    folder: str | Path,
) -> pd.DataFrame:
    """Write the tuples of a shard to `folder`, which is a subfolder of MGCNet's root; whole or not at all.

    MGCNet has triples only: of a pair the source stands on both sides, a single view stands three times.

    Args:
        table, tuples: of `group_people`; tuples without a target are passed over.
        crops_folder, masks_folder: hold `<photo>.png` (`align_faces`, `segment_skin`).
    Returns:
        One row per triplet with `COLUMNS`: the name in MGCNet's list, and which photos it shows.
    Raises:
        FormatError: a crop or mask is missing or is none.
    """
    landmarks = dict(zip(table["photo"], table["landmarks68"], strict=True))
    rows: list[dict[str, Any]] = []
    views: dict[str, AlignedView] = {}
    person = None
    with atomic_folder(folder) as partial:
        for found in tuples[tuples["target"] != ""].to_dict("records"):
            if found["person"] != person:
                person, views = found["person"], {}
            photos = _three_photos(found)
            for photo in photos:
                if photo not in views:
                    points = np.asarray(landmarks[photo], dtype=np.float64).reshape(68, 2)
                    views[photo] = align_view(crops_folder, masks_folder, photo, points)
            name = TripletName(int(found["flag"]), ".", f"{len(rows):06d}")
            write_triplet(partial, name, _triplet([views[photo] for photo in photos]))
            row = {"subfolder": Path(folder).name, "frame": name.frame}
            rows.append({**row, **dict(zip(ROLES, photos, strict=True)), **_rest(found)})
    logger.info("%d triplets", len(rows))
    return pd.DataFrame(rows, columns=COLUMNS)


def names_of(table: pd.DataFrame) -> list[TripletName]:
    """The lines of MGCNet's list for what `export_triplets` returned."""
    return [
        TripletName(int(flag), str(subfolder), str(frame))
        for flag, subfolder, frame in zip(table["flag"], table["subfolder"], table["frame"], strict=True)
    ]


def align_view(
    crops_folder: str | Path, masks_folder: str | Path, photo: str, landmarks: NDArray[np.float64]
) -> AlignedView:
    """One photo in MGCNet's crop, redrawn from our crop; beyond it the picture repeats its border.

    Args:
        landmarks: (68, 2) pixels of our crop.
    """
    aligned_from_crop = fit_similarity(template_points(landmarks), TEMPLATE).matrix
    picture = np.rint(255 * read_crop(crops_folder, photo).numpy()).astype(np.uint8)
    mask = np.rint(255 * read_mask(masks_folder, photo).numpy()).astype(np.uint8)
    size = (SIDE, SIDE)
    return AlignedView(
        warp(picture, aligned_from_crop, size, outside="replicate"),
        warp(mask, aligned_from_crop, size),
        np.asarray(transform_points(aligned_from_crop, landmarks)),
    )


def _three_photos(found: Mapping[Any, Any]) -> list[str]:
    target = str(found["target"])
    sources = [str(found[role]) for role in ("source1", "source2") if found[role]] or [target]
    return [str(found["source1"]) or sources[0], target, str(found["source2"]) or sources[-1]]


def _rest(found: Mapping[Any, Any]) -> dict[str, Any]:
    return {name: found[name] for name in ("flag", "person", "sitting", "reason")}


def _triplet(views: list[AlignedView]) -> Triplet:
    return Triplet(
        np.stack([view.picture for view in views]),
        np.stack([view.skin for view in views]),
        np.stack([mgcnet_intrinsics()] * len(views)),
        np.stack([view.landmarks for view in views]),
    )
