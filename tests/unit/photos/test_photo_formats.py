"""The list of image formats against Pillow's registry."""

from PIL import Image

from facemill.photos.settings import IMAGE_FORMATS, IMAGE_SUFFIXES, MAX_PIXELS

EXCLUDED = {
    "EPS": "runs Ghostscript",
    "PDF": "is only written",
    "PALM": "is only written",
    "WMF": "is drawn on Windows only",
    "MPEG": "is a film",
    "FLI": "is an animation",
    "BUFR": "is recognised, not read",
    "GRIB": "is recognised, not read",
    "HDF5": "is recognised, not read",
}


def test_every_suffix_of_pillow_is_either_listed_or_excluded_for_a_reason():
    Image.init()
    registered = dict(Image.registered_extensions())
    listed = {suffix: name for name, group in IMAGE_FORMATS.items() for suffix in group}
    assert {suffix: registered.get(suffix) for suffix in listed} == listed
    assert {registered[suffix] for suffix in set(registered) - set(listed)} == set(EXCLUDED)


def test_pillow_can_read_every_listed_format():
    Image.init()
    assert set(IMAGE_FORMATS) - {"MPO"} <= set(Image.OPEN)  # MPO files are opened by the JPEG reader


def test_suffixes_are_lower_case_with_a_dot():
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in IMAGE_SUFFIXES)


def test_our_limit_of_pixels_is_the_one_at_which_pillow_refuses():
    assert MAX_PIXELS == 2 * Image.MAX_IMAGE_PIXELS
