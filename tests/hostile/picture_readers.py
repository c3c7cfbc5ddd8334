"""The readers of pictures: photos in every format that can be written here, and what the stages leave."""

from __future__ import annotations

import numpy as np
from PIL import Image

from facemill.faces.crops import read_crop
from facemill.formats import (
    displacement,
    exif,
    stored_pictures,
)
from facemill.photos.reading import read_photo
from facemill.photos.settings import IMAGE_FORMATS
from hostile.inputs import (
    GREY16,
    file_of,
    noise,
    picture_of,
)
from hostile.reader import Reader

MAX_PIXELS = 20_000_000  # the sandbox has less memory than the largest photos need


def _photos(suffix: str, kind: str) -> list[Reader]:
    modes = {"GIF": "P", "BLP": "P", "XBM": "1", "MSP": "1"}
    picture = Image.fromarray(noise(24, 32, 3)).convert(modes.get(kind, "RGB"))
    return [
        Reader(
            f"photo {kind}",
            "picture",
            file_of(f"photo{suffix}", lambda path: picture.save(path, format=kind)),
            lambda place: read_photo(place, max_pixels=MAX_PIXELS).pixels,
            1.0 if kind in ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF") else 0.3,
            names_file=False,
        )
    ]


WRITABLE = [
    "AVIF",
    "BLP",
    "BMP",
    "DDS",
    "DIB",
    "GIF",
    "ICNS",
    "ICO",
    "IM",
    "JPEG",
    "JPEG2000",
    "MPO",
    "MSP",
    "PCX",
    "PNG",
    "PPM",
    "QOI",
    "SGI",
    "TGA",
    "TIFF",
    "WEBP",
    "XBM",
]
PHOTOS = [one for kind in WRITABLE for one in _photos(IMAGE_FORMATS[kind][-1], kind)]

PICTURE_READERS: list[Reader] = [
    *PHOTOS,
    Reader("exif", "picture", file_of("a.jpg", picture_of(noise(16, 16, 3))), exif.read_exif),
    Reader(
        "crop (png)",
        "picture",
        file_of("a.png", picture_of(noise(224, 224, 3))),
        lambda p: read_crop(p.parent, p.stem),
    ),
    Reader(
        "grey16 (png)",
        "picture",
        file_of("a.png", picture_of(GREY16)),
        lambda p: stored_pictures.read_grey16(p, "x"),
    ),
    Reader(
        "displacement (png)",
        "picture",
        file_of("a.png", lambda p: displacement.write_displacement(p, np.ones((9, 9)), False)),
        displacement.read_displacement,
    ),
    Reader(
        "displacement (json)",
        "json",
        lambda f: (displacement.write_displacement(f / "a.png", np.ones((9, 9))), f / "a.json")[1],
        lambda p: displacement.read_displacement(p.with_suffix(".png")),
    ),
]
