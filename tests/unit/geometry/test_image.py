"""Pixel arithmetic on arrays: transforms of points, resizing, the cheap resize-and-crop."""

import numpy as np
import pytest
from PIL import Image

from facemill.geometry import image as im
from unit.geometry.example_images import linear_image, smooth_photo

RANDOM = np.random.default_rng(5)


def test_resizing_moves_points_by_the_half_pixel_rule() -> None:
    transform = im.resizing((10, 20), (5, 60))  # y: (v + 0.5)/2 - 0.5, x: (u + 0.5) 3 - 0.5
    np.testing.assert_allclose(im.transform_points(transform, np.array([[4.0, 3.0]])), [[13.0, 1.25]])
    np.testing.assert_allclose(im.resizing((5, 60), (10, 20)) @ transform, np.eye(3), atol=1e-15)


def test_projective_points_are_divided() -> None:
    transform = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 2]])
    assert im.transform_points(transform, np.array([[4.0, 6.0]])).tolist() == [[2.0, 3.0]]


@pytest.mark.parametrize("size", [(40, 90), (13, 20)])
def test_resized_image_agrees_with_its_transform(size: tuple[int, int]) -> None:
    image = linear_image(30, 50).astype(np.float32)
    small, transform = im.resize(image, size, "bilinear")
    assert small.shape == (*size, 2) and small.dtype == np.float32
    middle = np.array([[size[1] // 2, size[0] // 2]], dtype=float)
    there = im.transform_points(np.linalg.inv(transform), middle)[0]
    # A shrinking filter of fractional width is off by up to 0.02 pixel; half a pixel would be the mistake.
    np.testing.assert_allclose(small[size[0] // 2, size[1] // 2], there, atol=0.02)


def test_crop_fills_black_and_moves_points() -> None:
    image = np.full((4, 5, 3), 200, np.uint8)
    cut, transform = im.crop(image, im.Window(left=-2, top=3, width=4, height=3))
    assert cut.shape == (3, 4, 3)
    assert cut[0, 2:].min() == 200 and cut[0, :2].max() == 0 and cut[1:].max() == 0
    assert im.transform_points(transform, np.array([[0.0, 3.0]])).tolist() == [[2.0, 0.0]]
    assert not im.crop(image, im.Window(50, 50, 2, 2)).image.any()


@pytest.mark.parametrize(
    ("photo_size", "resized_size", "window"),
    [
        ((594, 423), (433, 308), im.Window(31, 62, 224, 224)),  # 000002.jpg of Deep3DFaceRecon
        ((360, 450), (270, 337), im.Window(60, -5, 224, 224)),  # vd025.png: reaches above the photo
        ((300, 200), (1500, 1000), im.Window(-40, 1350, 224, 224)),
        ((1201, 1803), (150, 226), im.Window(-30, -40, 224, 224)),
    ],
)
def test_resize_and_crop_equals_the_whole_image_way(
    photo_size: tuple[int, int], resized_size: tuple[int, int], window: im.Window
) -> None:
    photo = smooth_photo(*photo_size)
    whole = Image.fromarray(photo).resize((resized_size[1], resized_size[0]), Image.Resampling.BICUBIC)
    long_way = im.crop(np.asarray(whole), window).image
    crop, transform = im.resize_and_crop(photo, resized_size, window)
    assert np.abs(crop.astype(int) - long_way).max() <= 1
    s_x, s_y = resized_size[1] / photo_size[1], resized_size[0] / photo_size[0]
    expected = [(100 + 0.5) * s_x - 0.5 - window.left, (50 + 0.5) * s_y - 0.5 - window.top]
    np.testing.assert_allclose(im.transform_points(transform, np.array([[100.0, 50.0]]))[0], expected)


@pytest.mark.parametrize("times", [1, 2, 3, 5])
def test_enlarging_is_resizing_to_a_multiple(times: int) -> None:
    grey = RANDOM.integers(0, 256, (13, 9), np.uint8)
    long_way = im.resize(grey, (13 * times, 9 * times), "bilinear")
    enlarged, transform = im.enlarge(grey, times)
    assert np.abs(enlarged.astype(int) - long_way.image).max() <= (1 if times > 2 else 0)
    np.testing.assert_array_equal(transform, long_way.resized_from_image)


def test_enlarging_refuses_colours_floats_and_no_size() -> None:
    for image, times in (
        (np.zeros((2, 2, 3), np.uint8), 2),
        (np.zeros((2, 2)), 2),
        (np.zeros((2, 2), np.uint8), 0),
    ):
        with pytest.raises(ValueError, match="grey must be"):
            im.enlarge(image, times)


def test_resize_keeps_dtype_and_channels() -> None:
    for channels in ((), (1,), (3,), (5,)):
        for dtype in (np.uint8, np.float32, np.float64):
            image = np.ones((6, 8, *channels), dtype)
            resized = im.resize(image, (3, 5)).image
            assert resized.shape == (3, 5, *channels) and resized.dtype == dtype
            np.testing.assert_allclose(resized, 1, atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 5), (2, 5, 1), (2, 5, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_mirroring_exchanges_left_and_right(shape: tuple[int, ...], dtype: type) -> None:
    image = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    mirrored = im.mirror(image)
    assert mirrored.dtype == dtype and mirrored.flags.c_contiguous
    np.testing.assert_array_equal(mirrored, image[:, [4, 3, 2, 1, 0]])


def test_wrong_input_is_named() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match="image must be"):
        im.resize(image.astype(np.int32), (2, 2))
    with pytest.raises(ValueError, match="image is empty"):
        im.resize(image[:0], (2, 2))
    with pytest.raises(ValueError, match="size must be"):
        im.resize_and_crop(image, (0, 3), im.Window(0, 0, 2, 2))
    with pytest.raises(ValueError, match="window must be whole"):
        im.crop(image, im.Window(0, 0, 0, 2))
