"""Cameras of synthetic photographs: signs, distances, and the crop that the alignment would cut."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from facemill.geometry.camera import project
from facemill.geometry.five_points import STANDARD_POINTS
from facemill.geometry.image import resizing, transform_points, translation
from facemill.geometry.rotation import head_angles_degrees
from facemill.photos.alignment import fit_alignment
from facemill.photos.settings import AlignSettings
from facemill.synthesis.camera import crop_view, place_camera, random_angles, random_portrait

NOSE = torch.tensor([[0.0, 0.0, 100.0]], dtype=torch.float64)
FIVE = torch.from_numpy(STANDARD_POINTS * 100)


def pixel(view, points=NOSE):
    return project(points, view.camera).pixels.numpy()


def test_signs_of_the_angles_are_those_of_the_tables():
    plain = pixel(place_camera((0, 0, 0), 800, 700, (301, 401)))[0]
    assert_allclose(plain, [200, 150])
    assert pixel(place_camera((20, 0, 0), 800, 700, (301, 401)))[0, 0] > 220  # nose to the image right
    assert pixel(place_camera((0, 20, 0), 800, 700, (301, 401)))[0, 1] > 170  # nose down
    above = torch.tensor([[0.0, 100.0, 0.0]], dtype=torch.float64)
    assert pixel(place_camera((0, 0, 20), 800, 700, (301, 401)), above)[0, 0] < 180  # top to the image left


def test_angles_come_back_from_the_pose():
    view = place_camera((31.0, -12.0, 7.0), 900, 700, (301, 401))
    angles = head_angles_degrees(torch.from_numpy(view.posed_from_head))
    assert_allclose(angles.numpy(), [31.0, -12.0, 7.0])


def test_the_distance_is_that_of_the_pinhole():
    view = place_camera((31.0, -12.0, 7.0), 900, 700, (301, 401), (40.0, -30.0))
    assert float(view.camera.centre.norm()) == pytest.approx(900)


def test_the_crop_is_where_the_alignment_puts_it():
    photo = place_camera((25.0, 10.0, 5.0), 1200, 2200, (900, 700), (60.0, -80.0))
    points = pixel(photo, FIVE)
    settings = AlignSettings()
    found = fit_alignment(points, 700, 900, settings)
    resized = resizing((900, 700), (found.height, found.width))
    wanted = transform_points(translation(-found.left, -found.top) @ resized, points)
    # The released code truncates the resized photo and the corner of the crop to whole pixels.
    assert_allclose(pixel(crop_view(photo, points), FIVE), wanted, atol=1.1)


def test_a_larger_crop_is_the_same_picture_enlarged():
    photo = place_camera((25.0, 10.0, 5.0), 1200, 2200, (900, 700))
    points = pixel(photo, FIVE)
    small, large = crop_view(photo, points), crop_view(photo, points, 448)
    assert_allclose(pixel(large, FIVE), 2 * pixel(small, FIVE) + 0.5)
    assert large.size == (448, 448) and large.scaled(1.0) == pytest.approx(2 * small.scaled(1.0))


def test_a_crop_pixel_is_about_a_millimetre():
    # 102 crop pixels per decimetre of the standard points, at the depth of the head's origin.
    photo = place_camera((0.0, 0.0, 0.0), 5000, 9000, (900, 700))
    assert crop_view(photo, pixel(photo, FIVE)).scaled(1.0) == pytest.approx(1.0, abs=0.02)


def test_portraits_keep_their_limits_and_show_the_head():
    for seed in range(60):
        random = np.random.default_rng(seed)
        angles = random_angles(random, 40.0, 60.0, 9.0, 6.0)
        view = random_portrait(random, angles, 320, 400.0, 1500.0)
        assert abs(angles[0]) <= 60 and 399 < view.distance < 1501 and max(view.size) == 320
        centre = pixel(view, torch.zeros(1, 3, dtype=torch.float64))[0]
        assert (centre > 0).all() and (centre < np.array(view.size)[::-1]).all()
        assert view.focal > 5
