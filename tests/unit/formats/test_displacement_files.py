"""Displacement maps as 16-bit pictures: values, metadata, and what is refused."""

import json
import struct

import numpy as np
import pytest
from PIL import Image

from facemill.formats.displacement import LARGEST, SCALE, read_displacement, write_displacement
from facemill.runtime.errors import FormatError

#: Not square, both signs, the ends of the range, and a value between two steps.
MAP = np.array([[0.0, 1.23456, -2.0], [LARGEST, -3.2768, 0.00004]])


def test_the_round_trip_is_within_half_a_step(tmp_path):
    write_displacement(tmp_path / "map.png", MAP)
    assert np.abs(read_displacement(tmp_path / "map.png") - MAP).max() <= SCALE / 2 * 1.01


def test_the_picture_holds_one_sixteen_bit_channel_with_zero_in_the_middle(tmp_path):
    write_displacement(tmp_path / "map.png", MAP)
    header = (tmp_path / "map.png").read_bytes()
    assert struct.unpack(">IIBB", header[16:26]) == (3, 2, 16, 0)  # width, height, bits, grey
    with Image.open(tmp_path / "map.png") as image:
        assert np.array(image).tolist() == [[32768, 45114, 12768], [65535, 0, 32768]]
        assert image.text == {
            "displacement_scale": "0.0001",
            "displacement_zero": "32768",
            "displacement_unit": "millimetre",
        }


def test_the_sidecar_says_what_the_metadata_say(tmp_path):
    write_displacement(tmp_path / "map.png", MAP)
    about = json.loads((tmp_path / "map.json").read_text())
    assert (about["scale"], about["zero"], about["unit"]) == (1e-4, 32768, "millimetre")
    assert (about["width"], about["height"], about["largest"]) == (3, 2, LARGEST)


def test_a_picture_that_lost_its_metadata_is_read_by_its_sidecar(tmp_path):
    write_displacement(tmp_path / "map.png", MAP)
    with Image.open(tmp_path / "map.png") as image:
        Image.fromarray(np.array(image)).save(tmp_path / "map.png")
    assert np.abs(read_displacement(tmp_path / "map.png") - MAP).max() < SCALE
    (tmp_path / "map.json").unlink()
    with pytest.raises(FormatError, match="does not say what its values mean"):
        read_displacement(tmp_path / "map.png")


def test_a_map_without_sidecar_is_whole(tmp_path):
    write_displacement(tmp_path / "map.png", MAP, sidecar=False)
    assert not (tmp_path / "map.json").exists()
    assert read_displacement(tmp_path / "map.png")[0, 2] == np.float32(-2)


def test_equal_maps_give_equal_bytes(tmp_path):
    for name in ("a.png", "b.png"):
        write_displacement(tmp_path / name, MAP)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_eight_bits_are_refused(tmp_path, mode):
    Image.new(mode, (4, 3), "grey").save(tmp_path / "map.png")
    with pytest.raises(FormatError, match="another bit depth"):
        read_displacement(tmp_path / "map.png")


@pytest.mark.parametrize(("key", "value", "said"), [("zero", 0, "disagree"), ("unit", "metre", "unit")])
def test_a_sidecar_with_another_zero_or_unit_is_refused(tmp_path, key, value, said):
    write_displacement(tmp_path / "map.png", MAP)
    sidecar = tmp_path / "map.json"
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), key: value}))
    with pytest.raises(FormatError, match=said):
        read_displacement(tmp_path / "map.png")


def test_a_sidecar_of_another_map_is_refused(tmp_path):
    write_displacement(tmp_path / "map.png", MAP)
    (tmp_path / "map.json").write_text('{"scale": 0.001, "zero": 32768}')
    with pytest.raises(FormatError, match="disagree"):
        read_displacement(tmp_path / "map.png")


@pytest.mark.parametrize("scale", ["0", "-1e-4", "nan", '"wide"', "null"])
def test_a_scale_that_is_no_scale_is_refused(tmp_path, scale):
    Image.fromarray(np.full((2, 2), 40000, np.uint16)).save(tmp_path / "map.png")
    text = '{"scale": NaN, "zero": 32768}' if scale == "nan" else f'{{"scale": {scale}, "zero": 32768}}'
    (tmp_path / "map.json").write_text(text)
    with pytest.raises(FormatError, match="no usable scale"):
        read_displacement(tmp_path / "map.png")


def test_another_unit_is_refused(tmp_path):
    Image.fromarray(np.full((2, 2), 40000, np.uint16)).save(tmp_path / "map.png")
    (tmp_path / "map.json").write_text('{"scale": 1, "zero": 0, "unit": "inch"}')
    with pytest.raises(FormatError, match="another unit"):
        read_displacement(tmp_path / "map.png")


def test_what_is_no_png_is_refused(tmp_path):
    (tmp_path / "map.png").write_text("hello")
    with pytest.raises(FormatError, match="cannot be read"):
        read_displacement(tmp_path / "map.png")
    with pytest.raises(FormatError, match="is missing"):
        read_displacement(tmp_path / "missing.png")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.full((2, 2), 3.3), "within"),
        (np.full((2, 2), np.nan), "finite"),
        (np.zeros((2, 2, 1)), "shape"),
    ],
)
def test_maps_that_do_not_fit_are_refused(tmp_path, values, words):
    with pytest.raises(ValueError, match=words):
        write_displacement(tmp_path / "map.png", values)
    assert not list(tmp_path.iterdir())


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(ValueError, match="png"):
        write_displacement(tmp_path / "map.tif", MAP)
