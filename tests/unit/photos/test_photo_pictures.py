"""The stages' own PNG files: every reader sees the pixels that were written."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from facemill.photos.pictures import picture_path, read_picture, write_picture
from facemill.runtime.errors import FormatError


@pytest.mark.parametrize("shape", [(7, 5, 3), (7, 5), (1, 1, 3), (1, 1), (3, 1, 3), (224, 224, 3)])
def test_other_readers_see_what_was_written(shape: tuple[int, ...], tmp_path: Path) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)
    path = picture_path(tmp_path, "a")
    write_picture(path, pixels)
    np.testing.assert_array_equal(read_picture(path), pixels)
    by_opencv = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)  # libpng checks what Pillow may let pass
    assert by_opencv is not None
    np.testing.assert_array_equal(by_opencv[..., ::-1] if len(shape) == 3 else by_opencv, pixels)
    with Image.open(path) as image:
        assert image.mode == ("RGB" if len(shape) == 3 else "L")


def test_a_view_is_written_like_its_copy(tmp_path: Path) -> None:
    pixels = np.random.default_rng(4).integers(0, 256, (9, 12, 3), dtype=np.uint8)[::2, ::-3]
    write_picture(tmp_path / "view.png", pixels)
    write_picture(tmp_path / "copy.png", pixels.copy())
    assert (tmp_path / "view.png").read_bytes() == (tmp_path / "copy.png").read_bytes()


@pytest.mark.parametrize(
    ("shape", "dtype"), [((4, 4, 4), np.uint8), ((4, 4), np.float64), ((4,), np.uint8), ((0, 4), np.uint8)]
)
def test_other_arrays_are_refused(shape: tuple[int, ...], dtype: type, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"pixels must be \(H, W, 3\) or \(H, W\) uint8, not"):
        write_picture(tmp_path / "a.png", np.zeros(shape, dtype))


def test_a_cut_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_picture(path, np.zeros((50, 50), np.uint8))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(FormatError, match=r"a\.png"):
        read_picture(path)
