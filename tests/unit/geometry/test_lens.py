"""Lens distortion: by hand, against OpenCV, and there and back."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facemill.geometry.lens import Lens, undistort_image

K = np.array([[1000.0, 0.0, 320.0], [0.0, 900.0, 250.0], [0.0, 0.0, 1.0]])
LENS = Lens(k1=-0.28, k2=0.11, p1=0.0013, p2=-0.0021, k3=0.05)


def test_each_term_by_hand():
    point = [[0.5, -1.0]]  # r^2 = 1.25
    assert np.allclose(Lens(k1=1).distort(point), [[1.125, -2.25]])
    assert np.allclose(Lens(k2=1).distort(point), [[0.5 * 2.5625, -2.5625]])
    assert np.allclose(Lens(k3=1).distort(point), [[0.5 * (1 + 1.25**3), -(1 + 1.25**3)]])
    assert np.allclose(Lens(p1=1).distort(point), [[0.5 - 1.0, -1.0 + 3.25]])
    assert np.allclose(Lens(p2=1).distort(point), [[0.5 + 1.75, -1.0 - 1.0]])


def test_order_of_the_five_is_that_of_opencv():
    points = np.array([[12.0, -30.0, 200.0], [-45.0, 17.0, 180.0]])
    five = np.array([LENS.k1, LENS.k2, LENS.p1, LENS.p2, LENS.k3])
    theirs, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), K, five)
    pinhole = points[:, :2] / points[:, 2:] * [1000, 900] + [320, 250]
    assert np.allclose(LENS.distort_pixels(pinhole, K), theirs[:, 0], atol=1e-9)


number = st.floats(-0.3, 0.3)
small = st.floats(-0.005, 0.005)


@settings(deadline=None)
@given(k1=number, k2=number, k3=number, p1=small, p2=small, x=st.floats(-0.5, 0.5), y=st.floats(-0.5, 0.5))
def test_undistort_is_the_inverse(k1, k2, k3, p1, p2, x, y):
    lens = Lens(k1, k2, p1, p2, k3)
    assert np.allclose(lens.undistort(lens.distort([[x, y]])), [[x, y]], atol=1e-9)


def test_pixels_there_and_back_and_broadcast():
    pixels = np.random.default_rng(0).uniform([0, 0], [640, 480], (4, 5, 2))
    assert np.allclose(LENS.undistort_pixels(LENS.distort_pixels(pixels, K), K), pixels, atol=1e-7)


def test_beyond_the_fold_there_is_no_answer():
    lens = Lens(k1=-0.5)  # x - x^3/2 has its top 0.544 at x = 0.816
    found = lens.undistort([[0.5, 0.0], [0.6, 0.0], [np.nan, 0.0]])
    assert found[0, 0] == pytest.approx(0.6180339887)  # 0.618 - 0.618^3 / 2 = 0.5: the golden ratio
    assert np.isnan(found[1:]).all()


def test_no_distortion_changes_nothing():
    image = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    same, valid = undistort_image(image, np.diag([50.0, 40.0, 1.0]), Lens())
    assert np.array_equal(same, image) and valid.all()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_undistorted_image_has_features_where_the_pinhole_has_them(dtype):
    pinhole = np.array([[100.0, 90.0], [500.0, 400.0], [330.0, 120.0]])
    photo = np.zeros((480, 640), np.float64)
    rows, columns = np.mgrid[:480, :640]
    for x, y in LENS.distort_pixels(pinhole, K):
        photo += 200 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 18)
    flat, valid = undistort_image(photo.astype(dtype), K, LENS)
    for x, y in pinhole:
        window = flat[int(y) - 12 : int(y) + 13, int(x) - 12 : int(x) + 13].astype(float)
        grid = np.mgrid[int(y) - 12 : int(y) + 13, int(x) - 12 : int(x) + 13]
        centre = (grid * window).sum(axis=(1, 2)) / window.sum()
        assert np.abs(centre - [y, x]).max() < 0.03
    assert flat.dtype == dtype and flat.shape == photo.shape
    assert valid[240, 320]


def test_pixels_that_the_photo_does_not_show_are_marked():
    _, valid = undistort_image(np.zeros((480, 640), np.uint8), K, Lens(k1=0.8))
    assert not valid[0, 0] and valid[250, 320]
