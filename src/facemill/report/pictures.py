"""Pictures of the report: reduced, flattened, marked and embedded in the page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from facemill.formats.stored_pictures import PNG_OR_JPEG, opened_picture
from facemill.geometry.image import resizing, transform_points

#: Behind rendered surfaces, in the light and the dark page alike.
BACKDROP = (32, 37, 46)
DETECTED = (64, 224, 255)
RECONSTRUCTED = (255, 150, 40)
_SUPERSAMPLING = 4


@dataclass(frozen=True)
class EmbeddedPicture:
    """A picture inside the page: `uri` for `src`, its size, and what it shows in words."""

    uri: str
    width: int
    height: int
    alt: str
    caption: str = ""


def read_picture(path: str | Path) -> NDArray[np.uint8]:
    """Read a picture that a stage wrote: (H, W, 3), transparency flattened on `BACKDROP`.

    Raises:
        FormatError: the file is missing or damaged.
    """
    expected = "a picture that an earlier stage wrote"
    with opened_picture(path, expected, "make it again", PNG_OR_JPEG) as image:
        if image.mode == "RGBA":
            ground = Image.new("RGBA", image.size, (*BACKDROP, 255))
            return np.array(Image.alpha_composite(ground, image).convert("RGB"))
        return np.array(image.convert("RGB"))


def embed(
    pixels: NDArray[np.uint8],
    alt: str,
    caption: str = "",
    side: int | None = None,
    width: int | None = None,
    quality: int = 85,
) -> EmbeddedPicture:
    """Put a picture (H, W, 3) into a data URI as JPEG, never enlarged.

    Args:
        side: longest side at most, px.
        width: width at most, px.
    """
    image = Image.fromarray(pixels)
    scale = min(1.0, (side or image.width) / max(image.size), (width or image.width) / image.width)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    if size != image.size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, format="JPEG", quality=quality, optimize=True)
    uri = "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
    return EmbeddedPicture(uri, image.width, image.height, alt, caption)


def mark_points(
    pixels: NDArray[np.uint8],
    groups: list[tuple[NDArray, tuple[int, int, int]]],
    side: int,
) -> NDArray[np.uint8]:
    """Reduce a picture to `side` and draw dots on it, smoothly, in pixels of the given picture.

    Args:
        groups: points (N, 2) and their colour; later groups are drawn on top. Points that are not finite are
            left out.
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    fine = (size[0] * _SUPERSAMPLING, size[1] * _SUPERSAMPLING)
    layer = Image.new("RGBA", (fine[1], fine[0]), (0, 0, 0, 0))
    pen = ImageDraw.Draw(layer)
    radius = max(1.8, 0.0085 * max(size)) * _SUPERSAMPLING
    fine_from_picture = resizing((height, width), fine)
    for points, color in groups:
        for x, y in transform_points(fine_from_picture, np.asarray(points, dtype=np.float64)).tolist():
            if np.isfinite([x, y]).all():
                for grown, ink in ((1.35, (0, 0, 0, 140)), (1.0, (*color, 255))):
                    r = radius * grown
                    pen.ellipse((x - r, y - r, x + r, y + r), fill=ink)
    small = Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.LANCZOS).convert("RGBA")
    dots = layer.resize(small.size, Image.Resampling.BOX)
    return np.array(Image.alpha_composite(small, dots).convert("RGB"))
