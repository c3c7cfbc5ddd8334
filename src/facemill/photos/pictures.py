"""The stages' own pictures: PNG files named after the photo's key."""

from pathlib import Path

import numpy as np
from PIL import Image

from facemill.runtime.errors import FormatError


def picture_path(folder: str | Path, photo: str) -> Path:
    """Place of the picture of `photo` in a shard's folder."""
    return Path(folder) / f"{photo}.png"


def write_picture(path: str | Path, pixels: np.ndarray) -> None:
    """Write (H, W, 3) or (H, W) uint8 as PNG, into a folder that an `atomic_folder` guards."""
    # Level 1: three times faster than the default for a tenth more bytes.
    Image.fromarray(pixels).save(path, format="PNG", compress_level=1)


def read_picture(path: str | Path) -> np.ndarray:
    """Read a PNG that `write_picture` wrote.

    Raises:
        FormatError: the file is missing or is not a whole PNG.
    """
    try:
        with Image.open(path, formats=("PNG",)) as image:
            return np.array(image)
    except (OSError, SyntaxError) as error:
        raise FormatError(
            f"{path} cannot be read", "a PNG that an earlier stage wrote", str(error), "make it again"
        ) from error
