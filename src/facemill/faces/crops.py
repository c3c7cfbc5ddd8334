"""The pictures that the photo stages wrote, as the coarse stage reads them."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from facemill.formats.stored_pictures import opened_picture
from facemill.geometry.camera import DEEP3D_SIZE
from facemill.runtime.errors import FormatError
from facemill.runtime.storage import MADE_ANEW_FOLDER, DamagedFileError


def read_crop(folder: str | Path, photo: str) -> Tensor:
    """The aligned crop of `photo` in a shard's folder, (224, 224, 3) colours 0..1."""
    return _read(Path(folder) / f"{photo}.png", "RGB", (DEEP3D_SIZE, DEEP3D_SIZE, 3))


def read_mask(folder: str | Path, photo: str) -> Tensor:
    """The skin probability of `photo` in a shard's folder, (224, 224), 0..1."""
    return _read(Path(folder) / f"{photo}.png", "L", (DEEP3D_SIZE, DEEP3D_SIZE))


def _read(path: Path, mode: str, shape: tuple[int, ...]) -> Tensor:
    """Read an 8-bit PNG as float32 0..1.

    Raises:
        DamagedFileError: the file is missing or is not a whole PNG.
        FormatError: it has another mode or size.
    """
    expected = "a PNG that an earlier stage wrote"
    with opened_picture(path, expected, MADE_ANEW_FOLDER, refusal=DamagedFileError) as image:
        found_mode, pixels = image.mode, np.array(image)
    if found_mode != mode or pixels.shape != shape:
        raise FormatError(
            f"{path} is not a picture of an aligned crop",
            f"8-bit {mode} of {shape[1]} x {shape[0]} pixels",
            f"{found_mode} of shape {pixels.shape}",
            "give the folder that align_faces (crops) or segment_skin (masks) wrote for this shard",
        )
    return torch.from_numpy(pixels).float() / 255
