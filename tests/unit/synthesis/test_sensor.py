"""The camera's electronics: exposure, white balance, blur, noise and compression, each by itself."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from facemill.synthesis.sensor import (
    GAMMA,
    Sensor,
    decode_jpeg,
    develop,
    encode_jpeg,
    gains_of,
    linear_of,
    random_sensor,
)

STILL = Sensor(
    exposure=1.0,
    balance=1.0,
    cast=np.ones(3),
    contrast=1.0,
    saturation=1.0,
    blur=0.0,
    smear=np.zeros(2),
    vignette=0.0,
    noise=0.0,
    grain=0.0,
    sharpen=0.0,
    shrink=1.0,
    quality=95,
    subsample=False,
)
ONES = np.ones(3)


def shown(light, sensor=STILL, gains=ONES, seed=0):
    return develop(np.asarray(light, np.float32), gains, sensor, np.random.default_rng(seed))


def flat(value, size=(64, 48)):
    return np.full((*size, 3), value, np.float32)


def test_below_the_shoulder_the_file_is_a_power_of_the_light():
    assert_allclose(shown(flat(0.2)), 255 * 0.2 ** (1 / GAMMA), atol=0.6)
    assert_allclose(linear_of(shown(flat(0.2)) / 255.0), 0.2, atol=0.002)


def test_white_is_approached_and_never_passed():
    bright = [int(shown(flat(value))[0, 0, 0]) for value in (0.8, 1.5, 4.0, 100.0)]
    assert bright == sorted(bright) and bright[1] < 255 and bright[3] == 255


def test_white_balance_takes_the_colour_of_the_light_out():
    lamp = np.array([1.6, 1.0, 0.4])
    gains = gains_of(STILL, lamp, 0.3)
    assert np.ptp(gains * lamp) < 1e-12
    half = gains_of(replace(STILL, balance=0.5), lamp, 0.3) * lamp
    assert half[0] > half[1] > half[2]


def test_exposure_doubles_the_light_and_the_meter_takes_the_strength_out():
    once = gains_of(STILL, ONES, 0.3)
    assert_allclose(gains_of(replace(STILL, exposure=2.0), ONES, 0.3), 2 * once)
    assert_allclose(gains_of(STILL, 8 * ONES, 0.3), once / 8)


def test_blur_has_the_width_it_says():
    light = flat(0.0, (41, 41))
    light[20, 20] = 0.5
    spot = linear_of(shown(light, replace(STILL, blur=2.0), gains=20 * ONES) / 255.0)[..., 0].astype(float)
    columns = np.arange(41) - 20
    assert np.sqrt((spot.sum(0) * columns**2).sum() / spot.sum()) == pytest.approx(2.0, abs=0.1)


def test_motion_smears_along_its_direction():
    light = flat(0.0, (41, 41))
    light[20, 20] = 0.5
    spot = shown(light, replace(STILL, smear=np.array([6.0, 0.0])))[..., 0] > 0
    assert np.ptp(np.nonzero(spot.any(0))[0]) == 6 and np.ptp(np.nonzero(spot.any(1))[0]) == 0


def test_noise_has_the_strength_it_says():
    grainy = replace(STILL, noise=0.01, grain=0.04)
    values = linear_of(shown(flat(0.25, (200, 200)), grainy) / 255.0)
    assert values.std() == pytest.approx(np.sqrt(0.01**2 + 0.04**2 * 0.25), rel=0.05)


def test_vignette_darkens_the_corners_alone():
    picture = shown(flat(0.3, (51, 51)), replace(STILL, vignette=0.5))
    assert picture[25, 25, 0] == shown(flat(0.3))[0, 0, 0]
    assert linear_of(picture[0, 0] / 255.0)[0] == pytest.approx(0.15, rel=0.03)


def test_saturation_zero_is_grey():
    light = flat(0.0)
    light[:] = [0.4, 0.2, 0.1]
    assert np.ptp(shown(light, replace(STILL, saturation=0.0))[0, 0]) <= 1


def test_jpeg_keeps_the_order_of_colours_and_gets_smaller_with_less_quality():
    random = np.random.default_rng(0)
    picture = np.repeat(np.repeat(random.integers(0, 255, (8, 6, 3)), 8, 0), 8, 1).astype(np.uint8)
    content = encode_jpeg(picture, STILL)
    assert content[:3] == b"\xff\xd8\xff"
    assert np.abs(decode_jpeg(content).astype(int) - picture).mean() < 4
    assert len(encode_jpeg(picture, replace(STILL, quality=40, subsample=True))) < len(content)


def test_a_damaged_jpeg_is_refused():
    with pytest.raises(ValueError, match="JPEG"):
        decode_jpeg(b"no picture")


def test_the_seed_decides_everything():
    light = np.random.default_rng(5).random((40, 40, 3)).astype(np.float32)
    for seed in range(20):
        sensor = random_sensor(np.random.default_rng(seed), dim=seed % 2 == 0)
        assert (shown(light, sensor, seed=3) == shown(light, sensor, seed=3)).all()
        assert 35 <= sensor.quality <= 98 and sensor.shrink >= 1
