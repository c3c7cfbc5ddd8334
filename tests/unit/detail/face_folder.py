"""A shard of made faces on disk: photos, crops, masks, displacement pictures, coarse results."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from facemill.faces.photo_source import PhotoSource
from facemill.geometry.image import transform_points
from facemill.models.coefficients import Coefficients
from facemill.models.morphable import MorphableModel
from unit.detail.detail_toys import toy_coefficients

SIZE = (420, 400)  # height, width of the photos
PHOTO_FROM_CROP = np.array([[1.7, 0.0, 11.0], [0.0, 1.7, 23.0], [0.0, 0.0, 1.0]])


@dataclass(frozen=True)
class Decoded:
    """What a photo reader returns."""

    pixels: NDArray[np.uint8]


def read(path: Path) -> Decoded:
    """Decode, or raise what a missing file raises."""
    return Decoded(np.array(Image.open(path)))


@dataclass(frozen=True)
class FaceFolder:
    """Where the files are, and the results of `reconstruct_coarse`."""

    place: Path
    table: pd.DataFrame
    arrays: dict[str, NDArray]

    @property
    def originals(self) -> PhotoSource:
        """The photos."""
        return PhotoSource(str(self.place / "photos"), str, read)


def truth_at(pixels: NDArray) -> NDArray:
    """Displacement, mm, that the pictures show at points (N, 2): linear, so that reading between is exact."""
    return 0.004 * (pixels[..., 0] - 200) - 0.0025 * (pixels[..., 1] - 210)


def make_faces(place: Path, model: MorphableModel, names: list[str], unknown_rows: int = 150) -> FaceFolder:
    """Write textured photos of nobody in particular, and coarse faces that look out of them.

    Rows of the displacement pictures above `unknown_rows` know nothing.
    """
    for folder in ("photos", "crops", "masks", "displacement"):
        (place / folder).mkdir(parents=True)
    random = np.random.default_rng(4)
    coarse = random.integers(60, 200, (14, 14, 3)).astype(np.uint8)
    photo = cv2.resize(coarse, SIZE[::-1], interpolation=cv2.INTER_CUBIC)
    photo = np.clip(photo + random.normal(0, 25, photo.shape), 0, 255).astype(np.uint8)
    columns, rows = np.meshgrid(np.arange(SIZE[1]), np.arange(SIZE[0]))
    steps = np.rint(truth_at(np.stack((columns, rows), axis=-1)) / 1e-4) + 32768
    steps[:unknown_rows] = 0
    for name in names:
        Image.fromarray(photo).save(place / "photos" / f"{name}.png")
        Image.fromarray(np.full((224, 224, 3), 128, np.uint8)).save(place / "crops" / f"{name}.png")
        Image.fromarray(np.full((224, 224), 255, np.uint8)).save(place / "masks" / f"{name}.png")
        cv2.imwrite(str(place / "displacement" / f"{name}.png"), steps.astype(np.uint16))
    found = toy_coefficients(model, len(names))
    arrays = {field.name: getattr(found, field.name).numpy() for field in fields(Coefficients)}
    arrays |= {"photo": np.array(names), "camera_distance": np.full(len(names), 1000.0, np.float32)}
    table = pd.DataFrame(
        {
            "photo": names,
            "file": [f"{name}.png" for name in names],
            "status": "ok",
            "reason": "",
            "photo_from_crop": [PHOTO_FROM_CROP.ravel()] * len(names),
        }
    )
    return FaceFolder(place, table, arrays)


def projected(points: NDArray, coefficients_row: dict[str, NDArray]) -> NDArray[np.float64]:
    """Pixels of the photo (N, 2) of points (N, 3) of the head, by Deep3D's camera written out by hand."""
    pitch, yaw, roll = (float(angle) for angle in coefficients_row["rotation"])
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    about_z = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    posed = points @ (about_z @ about_y @ about_x).T + coefficients_row["translation"]
    depth = 1000.0 - posed[:, 2]
    crop = np.stack((1015 * posed[:, 0] / depth + 112, -1015 * posed[:, 1] / depth + 111), axis=1)
    return np.asarray(transform_points(PHOTO_FROM_CROP, crop))
