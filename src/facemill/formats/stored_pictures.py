"""Picture files that a stage or its user left, opened one way: the header first, and no bombs."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facemill.runtime.errors import FacemillError, FormatError
from facemill.runtime.inputs import decoding, require_plain_file

PNG = ("PNG",)
PNG_OR_JPEG = ("PNG", "JPEG")


@contextmanager
def opened_picture(
    path: str | Path,
    expected: str,
    remedy: str,
    formats: Sequence[str] | None = PNG,
    refusal: type[FacemillError] = FormatError,
) -> Iterator[Image.Image]:
    """The opened picture, decoded when it is used inside the block.

    Args:
        formats: names of Pillow's decoders, of which no other is tried; None: all.
    Raises:
        refusal: the file is missing, no plain file, no such picture, damaged (also when that shows inside the
            block only), or of more pixels than Pillow reads (178,956,970: decompression bombs).
    """
    require_plain_file(path, expected, remedy, refusal)
    with warnings.catch_warnings(), decoding(path, expected, remedy, refusal):
        # Pillow warns of half of what it refuses: a large picture is no fault.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(path, formats=None if formats is None else tuple(formats)) as image:
            yield image


def read_grey16(path: str | Path, remedy: str) -> NDArray[np.uint16]:
    """A PNG of 16-bit grey, (H, W).

    Raises:
        FormatError: missing, damaged, or of another kind.
    """
    expected = "a PNG of 16-bit grey"
    with opened_picture(path, expected, remedy) as image:
        mode, values = image.mode, np.array(image)
    if not mode.startswith("I;16"):
        found = f"mode {mode}, shape {values.shape}"
        raise FormatError(f"{path} is of another depth", expected, found, remedy)
    return values.astype(np.uint16)
