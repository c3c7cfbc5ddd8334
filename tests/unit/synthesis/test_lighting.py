"""Light: what surfaces send back, what hides it, and the harmonics that say so."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from facemill.rendering.lighting import shade
from facemill.synthesis.lighting import KINDS, Lamp, Lights, harmonics_of, random_lights
from facemill.synthesis.sky import DIRECTIONS, SkyMaps

NORMALS = np.array([[0.0, 0.0, 1.0], [0.6, 0.0, 0.8], [0.0, -0.6, 0.8], [-0.28, 0.0, 0.96]])
GREEN = np.array([0.2, 0.5, 0.1])


def plain(ambient=GREEN, lamp=None, lobes=((0.0, 0.0, 1.0),), strength=0.0) -> Lights:
    directions = np.array(lobes)
    count = len(directions)
    return Lights(
        "test", ambient, np.zeros(3), directions, np.full(count, 4.0), np.full((count, 3), strength), lamp
    )


def test_a_white_surface_in_even_light_sends_back_that_light():
    assert_allclose(plain().diffuse(NORMALS), np.tile(GREEN, (4, 1)), rtol=0.02)


def test_the_lamp_follows_the_cosine():
    lamp = Lamp(np.array([0.0, 0.0, 900.0]), np.array([1.0, 2.0, 3.0]), 10.0)
    light = plain(ambient=np.zeros(3), lamp=lamp).diffuse(NORMALS)
    assert_allclose(light, np.array([1.0, 0.8, 0.8, 0.96])[:, None] * [1.0, 2.0, 3.0])


def test_a_lobe_has_the_irradiance_it_is_made_of():
    # exp(4 (cos - 1)) over the hemisphere it faces: integral of cos / pi = 2 (4 - 1 + exp(-4)) / 16.
    light = plain(ambient=np.zeros(3), strength=1.0).diffuse(NORMALS[:1])
    assert_allclose(light, 2 * (3 + np.exp(-4)) / 16, rtol=0.05)


def test_harmonics_of_even_light_are_what_the_camera_makes_of_it():
    gains = np.array([2.0, 1.0, 3.0])
    lighting = torch.from_numpy(harmonics_of(plain(), gains, 2.2))[None]
    normals = torch.from_numpy(NORMALS)[None]
    colours = shade(torch.full((1, 4, 3), 0.5, dtype=torch.float64), normals, lighting)[0].numpy()
    assert_allclose(colours, np.tile(0.5 * (gains * GREEN) ** (1 / 2.2), (4, 1)), rtol=0.02)


def test_harmonics_follow_a_light_from_the_side():
    lights = plain(ambient=np.full(3, 0.1), lobes=((0.8, 0.0, 0.6),), strength=1.0)
    lighting = torch.from_numpy(harmonics_of(lights, np.ones(3), 2.2))[None]
    normals = DIRECTIONS[DIRECTIONS[:, 2] > 0.1].astype(np.float64)
    found = shade(torch.ones(1, len(normals), 3).double(), torch.from_numpy(normals)[None], lighting)[0]
    wanted = lights.diffuse(normals) ** (1 / 2.2)
    assert np.corrcoef(found.numpy()[:, 0], wanted[:, 0])[0, 1] > 0.98
    assert_allclose(found.numpy(), wanted, atol=0.12)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_light_and_repeats(kind):
    for seed in range(5):
        first = random_lights(np.random.default_rng(seed), kind)
        again = random_lights(np.random.default_rng(seed), kind)
        light = first.diffuse(NORMALS)
        assert first.kind == kind and np.isfinite(light).all() and (light > 0).all()
        assert (light == again.diffuse(NORMALS)).all()


def test_turning_the_head_turns_the_light_the_other_way():
    lights = plain(ambient=np.zeros(3), lobes=((1.0, 0.0, 0.0),), strength=1.0)
    quarter = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])  # z comes to x
    samples = lights.sky_samples(quarter)
    assert DIRECTIONS[samples[:, 0].argmax()] @ [0.0, 0.0, 1.0] > 0.9


def test_a_roof_hides_what_is_above_and_nothing_else():
    roof = np.array([[-500, 150, -500], [500, 150, -500], [500, 150, 500], [-500, 150, 500.0]], np.float32)
    triangles = np.array([[0, 1, 2], [0, 2, 3]])
    point, up = np.zeros((1, 3), np.float32), np.array([[0.0, 1.0, 0.0]], np.float32)
    share = SkyMaps(roof, triangles).open_share(point, up)[0]
    steep = DIRECTIONS[:, 1] > 0.5  # flatter lines of sight come near the eaves, 500 mm away
    assert share[steep].max() == 0 and share[DIRECTIONS[:, 1] < 0.05].min() == 1


def test_a_roof_below_hides_nothing():
    floor = np.array([[-500, -50, -500], [500, -50, -500], [0, -50, 500.0]], np.float32)
    point, up = np.zeros((1, 3), np.float32), np.array([[0.0, 1.0, 0.0]], np.float32)
    assert SkyMaps(floor, np.array([[0, 1, 2]])).open_share(point, up).min() == 1
