"""Each face in a square crop of standard place and scale: Deep3DFaceReconstruction's, or MGCNet's."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from facemill.geometry.five_points import MGCNET_SIZE, MGCNET_TEMPLATE, place_standard_points
from facemill.geometry.image import Window, resize_and_crop, resizing, transform_points
from facemill.geometry.similarity import Similarity, fit_similarity
from facemill.photos.pictures import picture_path, write_picture
from facemill.photos.plan import name_of_text
from facemill.photos.reading import read_photo
from facemill.photos.settings import AlignSettings
from facemill.runtime.errors import PhotoError
from facemill.runtime.settings import PhotoLimits
from facemill.runtime.tables import map_photos

COLUMNS = ("photo_from_crop", "crop_scale", "crop_outside")
_DECODE_AT = 2  # times the resized photo at which JPEGs are decoded at least, so that nothing is lost


@dataclass(frozen=True)
class Alignment:
    """How the photo is resized and cut.

    Attributes:
        translation: (2,) image position of the origin of the standard points; pixels, y UP from the bottom.
        scale: of the resizing; crop pixels per photo pixel.
        width, height: of the resized photo.
        left, top: of the crop within the resized photo; may be negative.
    """

    translation: np.ndarray
    scale: float
    width: int
    height: int
    left: int
    top: int


def fit_alignment(points: np.ndarray, width: int, height: int, settings: AlignSettings) -> Alignment:
    """Least-squares placement of the standard points, as Deep3DFaceReconstruction's released code has it.

    With y' = height - 1 - y: x = r1 . X + tx, y' = r2 . X + ty for the five standard points X, in eight
    unknowns; s = rescale / ((|r1| + |r2|) / 2); the resized photo has w = int(width s) by h = int(height s)
    pixels; the crop begins at int(w/2 - size/2 + (tx - width/2) s), int(h/2 - size/2 + (height/2 - ty) s).
    All int truncate toward 0.

    Args:
        points: (5, 2), pixels of the upright photo.
        width, height: of the upright photo.
    Raises:
        PhotoError: `bad_detections`: the points determine no scale.
    """
    upward = np.stack([points[:, 0], height - 1 - points[:, 1]], axis=1)
    translation, standard_scale = place_standard_points(upward)
    if not np.isfinite(standard_scale) or standard_scale < 1e-6:
        raise PhotoError("bad_detections", "all points are in one place")
    scale = settings.rescale / standard_scale
    resized_width, resized_height = max(1, int(width * scale)), max(1, int(height * scale))
    half = settings.size / 2
    left = int(resized_width / 2 - half + (translation[0] - width / 2) * scale)
    top = int(resized_height / 2 - half + (height / 2 - translation[1]) * scale)
    return Alignment(translation, scale, resized_width, resized_height, left, top)


def fit_level_alignment(points: np.ndarray, size: int) -> Similarity:
    """MGCNet's alignment (Shang et al. 2020): the least-squares similarity to its template, roll taken out.

    Of our five points the nose is left out: ours is the tip, the template's the base.

    Args:
        points: (5, 2), pixels of the upright photo.
        size: side of the crop, pixels.
    Returns:
        Takes pixels of the photo to pixels of the crop.
    Raises:
        PhotoError: `bad_detections`: the points determine no scale.
    """
    template = transform_points(resizing((MGCNET_SIZE, MGCNET_SIZE), (size, size)), MGCNET_TEMPLATE)
    try:
        return fit_similarity(points, template, weights=(1, 1, 0, 1, 1))
    except ValueError as error:
        raise PhotoError("bad_detections", "eyes and mouth are all in one place") from error


def align_faces(
    table: pd.DataFrame,
    folder: str | Path,
    crops: str | Path,
    settings: AlignSettings,
    strict: bool = False,
    limits: PhotoLimits | None = None,
) -> pd.DataFrame:
    """Cut the crop of each `ok` row and write it as PNG.

    Args:
        table: of `detect_faces`.
        folder: the photo folder.
        crops: folder, which exists, for `<photo>.png` (size x size RGB; outside the photo black, with
            MGCNet's template the nearest pixel of the photo).
        strict: let unforeseen exceptions through.
        limits: of one photo; see `map_photos`.
    Returns:
        `table` with `photo_from_crop` (9, row-major: takes homogeneous crop pixels to pixels of the whole
        upright photo, exactly), `crop_scale` (crop pixels per photo pixel) and `crop_outside` (share of the
        crop's pixels that lie outside the photo). Statuses: `face_cut` (an eye is outside the photo),
        `unreadable`, `bad_detections`.
    """
    cut = partial(_cut_crop, folder=Path(folder), crops=Path(crops), settings=settings)
    result = map_photos(table, cut, COLUMNS, strict, limits)
    return result.astype({"crop_scale": "float64", "crop_outside": "float64"})


def _cut_crop(row: Mapping[str, Any], folder: Path, crops: Path, settings: AlignSettings) -> dict[str, Any]:
    width, height = int(row["width"]), int(row["height"])
    points = np.reshape(np.asarray(row["points5"], dtype=np.float64), (5, 2))
    eyes = points[:2]
    if ((eyes < -0.5) | (eyes > (width - 0.5, height - 0.5))).any():
        raise PhotoError("face_cut", "the border of the photo cuts the face: an eye is outside")
    path = folder / name_of_text(row["file"])
    if settings.template == "mgcnet":
        return _cut_level(row, path, points, crops, settings.size)
    alignment = fit_alignment(points, width, height, settings)
    resized_longer = max(alignment.width, alignment.height)
    rows = _rows_seen(alignment, height, settings.size)
    photo = read_photo(path, min_side=_DECODE_AT * resized_longer, upper_rows=rows)
    window = Window(alignment.left, alignment.top, settings.size, settings.size)
    crop = resize_and_crop(photo.pixels, (alignment.height, alignment.width), window, "bicubic")
    write_picture(picture_path(crops, row["photo"]), crop.image)
    photo_from_crop = photo.photo_from_pixels @ np.linalg.inv(crop.crop_from_image)
    return {
        "photo_from_crop": photo_from_crop.ravel().tolist(),
        "crop_scale": alignment.scale,
        "crop_outside": _share_outside(photo_from_crop, width, height, settings.size),
    }


def _cut_level(
    row: Mapping[str, Any], path: Path, points: np.ndarray, crops: Path, size: int
) -> dict[str, Any]:
    """MGCNet's crop: bilinear, the border's pixels repeated beyond the photo, as its released code."""
    from facemill.geometry.sampling import warp  # torch, which the other alignment does without

    width, height = int(row["width"]), int(row["height"])
    crop_from_photo = fit_level_alignment(points, size)
    photo = read_photo(path, min_side=ceil(_DECODE_AT * crop_from_photo.scale * max(width, height)))
    crop_from_pixels = crop_from_photo.matrix @ photo.photo_from_pixels
    write_picture(
        picture_path(crops, row["photo"]), warp(photo.pixels, crop_from_pixels, (size, size), "replicate")
    )
    photo_from_crop = crop_from_photo.inverse().matrix
    return {
        "photo_from_crop": photo_from_crop.ravel().tolist(),
        "crop_scale": crop_from_photo.scale,
        "crop_outside": _share_beyond(photo_from_crop, width, height, size),
    }


def _rows_seen(alignment: Alignment, height: int, size: int) -> int:
    """How many upper rows of the photo the crop depends on; at most a few more.

    The filter reaches two pixels of the resized or of the decoded photo beyond the crop, whichever is larger,
    and a decoded pixel is at most half a resized one or a whole one of the photo.
    """
    rows_per_pixel = height / alignment.height
    return ceil((alignment.top + size) * rows_per_pixel + 4 * max(rows_per_pixel, 1.0))


def _share_outside(photo_from_crop: np.ndarray, width: int, height: int, size: int) -> float:
    """Share of the crop's pixels whose centres lie outside the photo (the crop is not turned)."""
    diagonal = transform_points(photo_from_crop, np.repeat(np.arange(size, dtype=np.float64)[:, None], 2, 1))
    limits = np.array([width, height]) - 0.5
    inside = ((diagonal >= -0.5) & (diagonal <= limits)).mean(axis=0)
    return float(1 - inside[0] * inside[1])


def _share_beyond(photo_from_crop: np.ndarray, width: int, height: int, size: int) -> float:
    """Share of the pixels of a turned crop whose centres lie outside the photo."""
    places = np.stack(np.meshgrid(np.arange(size), np.arange(size)), axis=-1).reshape(-1, 2)
    seen = transform_points(photo_from_crop, places.astype(np.float64))
    inside = ((seen >= -0.5) & (seen <= np.array([width, height]) - 0.5)).all(axis=1)
    return float(1 - inside.mean())
