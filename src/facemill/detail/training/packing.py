"""The stage `pack_detail`: photos in the atlas, coarse faces and true displacement of a shard, to map."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from facemill.detail.atlas import DetailAtlas
from facemill.detail.observation import observe
from facemill.detail.resample import TexelPlaces
from facemill.detail.training.batches import (
    ARRAYS,
    COEFFICIENTS,
    WINDOW,
    encode_displacement,
    encode_scale,
)
from facemill.faces.coarse_faces import CoarseFaces, read_coarse
from facemill.faces.crop_camera import CAMERA_DISTANCE
from facemill.faces.crops import read_crop, read_mask
from facemill.faces.photo_source import PhotoSource
from facemill.formats.stored_pictures import read_grey16
from facemill.geometry.camera import DEEP3D_SIZE
from facemill.models.morphable import MorphableModel
from facemill.runtime.errors import PhotoError
from facemill.runtime.tables import OK, map_photos

COLUMNS = ("seen_share", "known_share")
ZERO, STEP = 32768, 1e-4  # of displacement pictures: 0 mm, and mm a step; the value 0 means nothing
SURE = 0.99  # share of known pixels around a texel from which its displacement is taken

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PictureFolders:
    """Where the pictures of a shard lie.

    Attributes:
        crops, masks: aligned crops and their skin, 224 pixels.
        originals: the photos as they were given.
        displacement: true displacement at each pixel of the originals, of synthetic faces; None for photos.
    """

    crops: str | Path
    masks: str | Path
    originals: PhotoSource
    displacement: str | Path | None = None


def pack_detail(
    table: pd.DataFrame,
    arrays: Mapping[str, NDArray],
    model: MorphableModel,
    atlas: DetailAtlas,
    pictures: PictureFolders,
    folder: str | Path,
    strict: bool = False,
) -> pd.DataFrame:
    """Write the packed shard of the `ok` rows into `folder`, which exists, face by face.

    The true displacement is that of the picture: each texel of the coarse face looks up what skin the photo
    shows where the coarse camera projects it. So a fold belongs where it is seen, however wrong the coarse
    face is.

    Args:
        table, arrays: of `reconstruct_coarse`.
    Returns:
        The table with `seen_share` and `known_share`, shares of the mask's texels that have evidence and
        whose displacement is known; a photo whose files cannot be used gets a status.
    Raises:
        FormatError: `arrays` lacks a field, or an `ok` photo of the table.
    """
    faces = read_coarse(table, arrays, model)
    with _ShardWriter(Path(folder), atlas, faces.widths) as writer:
        pack = partial(_pack_face, faces=faces, atlas=atlas, pictures=pictures, writer=writer)
        result = map_photos(table, pack, COLUMNS, strict)
        logger.info("%d of %d photos packed", writer.count, len(table))
    assert writer.count == int((result["status"] == OK).sum())
    return result


def _pack_face(
    row: Mapping[str, Any],
    faces: CoarseFaces,
    atlas: DetailAtlas,
    pictures: PictureFolders,
    writer: _ShardWriter,
) -> dict[str, float]:
    photo = str(row["photo"])
    face = faces.posed(photo, row["photo_from_crop"])
    original = pictures.originals.pixels(row["file"])
    crop, mask = read_crop(pictures.crops, photo), read_mask(pictures.masks, photo)
    seen = observe(atlas, face, original, mask)
    target = torch.full_like(seen.evidence, torch.nan)
    if pictures.displacement is not None:
        truth = read_displacement_picture(Path(pictures.displacement) / f"{photo}.png")
        target = displacement_of_texels(truth, seen.places)
    inside = atlas.mask > 0
    visible = seen.photo.weight > 0
    writer.append(
        {
            "photo": np.array(photo),
            "labelled": np.array(pictures.displacement is not None),
            "colours": _bytes(seen.photo.colours),
            "weight": _bytes(seen.evidence),
            "scale": encode_scale(seen.photo.pixels_per_mm * visible).numpy(),
            "target": encode_displacement(target),
            **{name: getattr(face.coefficients, name)[0].numpy() for name in COEFFICIENTS},
            CAMERA_DISTANCE: np.array(faces.camera_distance, dtype=np.float32),
            "crops": _bytes(crop),
            "attention": _bytes(mask),
        }
    )
    return {
        "seen_share": float((seen.evidence > 0)[inside].float().mean()),
        "known_share": float(torch.isfinite(target)[inside].float().mean()),
    }


def read_displacement_picture(path: Path) -> NDArray[np.float32]:
    """(H, W) millimetres of the skin at the pixels of a synthetic photo, NaN where no skin is.

    Raises:
        PhotoError: there is none.
        FormatError: another kind of picture.
    """
    if not path.is_file():
        raise PhotoError("no_displacement", f"the set has no displacement picture {path.name}")
    content = read_grey16(path, "make the synthetic set again with displacement: true")
    values = (content.astype(np.float64) - ZERO) * STEP
    return np.where(content == 0, np.nan, values).astype(np.float32)


def displacement_of_texels(truth: NDArray[np.float32], places: TexelPlaces) -> Tensor:
    """(h, w) mm, between pixels where all around are known, NaN where a texel sees no known skin."""
    known = np.isfinite(truth)
    both = torch.from_numpy(np.stack((np.where(known, truth, 0), known), axis=-1).astype(np.float32))
    values = places.read(both)
    return torch.where(values[..., 1] > SURE, values[..., 0] / values[..., 1].clamp(min=SURE), torch.nan)


class _ShardWriter:
    """Appends faces to the arrays of a packed shard, in bounded memory; lengths are written at the end."""

    def __init__(self, folder: Path, atlas: DetailAtlas, widths: Mapping[str, int]) -> None:
        height, width = atlas.window[2:]
        crop = (DEEP3D_SIZE, DEEP3D_SIZE)
        self._folder, self.count = folder, 0
        self._photos: list[str] = []
        self._kinds: dict[str, tuple[tuple[int, ...], np.dtype]] = {
            "labelled": ((), np.dtype(bool)),
            "colours": ((height, width, 3), np.dtype(np.uint8)),
            "weight": ((height, width), np.dtype(np.uint8)),
            "scale": ((height, width), np.dtype(np.uint8)),
            "target": ((height, width), np.dtype(np.int16)),
            **{name: ((widths[name],), np.dtype(np.float32)) for name in COEFFICIENTS},
            CAMERA_DISTANCE: ((), np.dtype(np.float32)),
            "crops": ((*crop, 3), np.dtype(np.uint8)),
            "attention": (crop, np.dtype(np.uint8)),
        }
        assert {*self._kinds, "photo"} == set(ARRAYS)
        self._files: dict[str, BinaryIO] = {}
        window = np.array([atlas.size, *atlas.window], dtype=np.int64)
        np.save(folder / f"{WINDOW}.npy", window, allow_pickle=False)

    def __enter__(self) -> _ShardWriter:
        for name in self._kinds:
            self._files[name] = (self._folder / f"{name}.npy").open("wb")
            self._write_header(name)
        return self

    def append(self, face: Mapping[str, NDArray]) -> None:
        """Add one face; a face that does not fit is not added in part."""
        for name, (shape, dtype) in self._kinds.items():
            found = face[name]
            if found.shape != shape or found.dtype != dtype:
                raise ValueError(f"{name}: expected {dtype} {shape}, found {found.dtype} {found.shape}")
        for name, file in self._files.items():
            file.write(np.ascontiguousarray(face[name]).tobytes())
        self._photos.append(str(face["photo"]))
        self.count += 1

    def __exit__(self, *_: object) -> None:
        for name, file in self._files.items():
            with file:
                file.seek(0)
                self._write_header(name)
        np.save(self._folder / "photo.npy", np.array(self._photos, dtype=str), allow_pickle=False)

    def _write_header(self, name: str) -> None:
        """numpy leaves room in the header for the first axis to grow, so that it keeps its length."""
        shape, dtype = self._kinds[name]
        described = np.lib.format.dtype_to_descr(dtype)
        header = {"descr": described, "fortran_order": False, "shape": (self.count, *shape)}
        np.lib.format.write_array_header_1_0(self._files[name], header)


def _bytes(values: Tensor) -> NDArray[np.uint8]:
    found: NDArray[np.uint8] = (values.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return found
