"""The stages' own pictures: PNG files named after the photo's key."""

import struct
import zlib
from pathlib import Path

import numpy as np

from facemill.formats.stored_pictures import opened_picture
from facemill.runtime.storage import MADE_ANEW_FOLDER, DamagedFileError, named_storage_errors

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_UNFILTERED = 0  # filter type: bytes as they are
_GREY, _RGB = 0, 2  # colour types


def picture_path(folder: str | Path, photo: str) -> Path:
    """Place of the picture of `photo` in a shard's folder."""
    return Path(folder) / f"{photo}.png"


def write_picture(path: str | Path, pixels: np.ndarray) -> None:
    """Write (H, W, 3) or (H, W) uint8 as PNG, into a folder that an `atomic_folder` guards.

    Raises:
        ValueError: another shape or dtype.
        StorageError: the disk is full, is read-only or forbids writing.
    """
    content = _png(pixels)
    with named_storage_errors(Path(path)):
        Path(path).write_bytes(content)


def read_picture(path: str | Path) -> np.ndarray:
    """Read a PNG that `write_picture` wrote.

    Raises:
        DamagedFileError: the file is missing or is not a whole PNG.
    """
    expected = "a PNG that an earlier stage wrote"
    with opened_picture(path, expected, MADE_ANEW_FOLDER, refusal=DamagedFileError) as image:
        return np.array(image)


def _png(pixels: np.ndarray) -> bytes:
    """The bytes of a PNG file (W3C recommendation, third edition, sections 5, 9 and 11).

    The pixels are stored, not compressed: files are half as large again (a crop 150 kB), but written ten
    times and read four times as fast, and every later stage reads the crops. Written here and not by Pillow,
    which takes as long without compression as this with it: it tries five filters on every row.
    """
    if pixels.dtype != np.uint8 or pixels.ndim < 2 or pixels.shape[2:] not in ((), (3,)) or not pixels.size:
        raise ValueError(f"pixels must be (H, W, 3) or (H, W) uint8, not {pixels.dtype} {pixels.shape}")
    height, width = pixels.shape[:2]
    channels = 3 if pixels.ndim == 3 else 1
    rows = np.full((height, 1 + width * channels), _UNFILTERED, np.uint8)
    rows[:, 1:] = pixels.reshape(height, width * channels)
    data = zlib.compress(rows.data, level=0)
    colour_type = _RGB if channels == 3 else _GREY
    header = struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(data, zlib.crc32(kind))
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)
