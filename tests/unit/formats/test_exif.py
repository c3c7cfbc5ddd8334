"""What a camera says about itself in a photo."""

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from facemill.formats.exif import Exif, read_exif, stored_picture


def photo_with(path, orientation=None, focal=None, make="Acme", model="One"):
    picture = Image.fromarray(np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3))
    tags = Image.Exif()
    tags[ExifTags.Base.Make], tags[ExifTags.Base.Model] = make, model
    if orientation is not None:
        tags[ExifTags.Base.Orientation] = orientation
    if focal is not None:
        tags.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = focal
    picture.save(path, exif=tags)
    return path


def test_focal_length_in_pixels_compares_diagonals(tmp_path):
    exif = read_exif(photo_with(tmp_path / "a.png", 6, 26))
    assert exif == Exif((4, 6), 6, "Acme One", 26.0)
    assert exif.upright_size == (6, 4)
    # A photo of 3600 x 2400 px: a pixel is 0.01 mm of full frame.
    assert exif.focal_pixels((2400, 3600)) == pytest.approx(2600)
    assert exif.focal_pixels((3600, 2400)) == pytest.approx(2600)


def test_what_exif_does_not_say_or_says_wrongly_is_left_out(tmp_path):
    exif = read_exif(photo_with(tmp_path / "a.png", 0, 0))
    assert (exif.orientation, exif.focal_35mm, exif.focal_pixels((10, 10))) == (1, None, None)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_stored_picture_comes_back_from_the_upright_one(tmp_path, orientation):
    with Image.open(photo_with(tmp_path / "a.png", orientation)) as image:
        stored, upright = np.asarray(image), np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(stored_picture(upright, orientation), stored)
    turns = Exif(stored.shape[:2], orientation).quarter_turns
    if orientation in (1, 3, 6, 8):
        assert np.array_equal(np.rot90(stored, turns), upright)
    else:
        assert turns == 0
