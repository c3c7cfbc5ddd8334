"""One photograph: depth, labels, shadows and landmarks agree with the geometry that was drawn."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from facemill.geometry.primitives import square
from facemill.synthesis.accessory import CLOTHES, EYES, MOUTH, OCCLUDER, SKIN, Accessory
from facemill.synthesis.body import Studio
from facemill.synthesis.camera import place_camera
from facemill.synthesis.layers import Layer, area_normals, join, layer_of
from facemill.synthesis.lighting import Lamp, Lights
from facemill.synthesis.photograph import Landmarks, Scene, photograph
from facemill.synthesis.render import depth_map, draw
from facemill.synthesis.sensor import random_sensor
from facemill.synthesis.sky import COUNT, DIRECTIONS, SkyMaps
from facemill.synthesis.torso import neck_ring, random_garment, torso

GREY = Lights(
    "test", np.full(3, 0.5), np.zeros(3), np.array([[0.0, 0, 1]]), np.ones(1), np.zeros((1, 3)), None
)
FRONT = place_camera((0, 0, 0), 1000.0, 1000.0, (201, 201))


def plate(half: float, depth: float, label: int, colour=0.5, centre=(0.0, 0.0)) -> Layer:
    """A square facing the camera, `half` mm to each side, `depth` mm before the origin; 21 x 21 vertices."""
    mesh = square(21, 21, 2 * half, 2 * half)
    vertices = (mesh.vertices + [*centre, depth]).astype(np.float32)
    triangles, count = np.ascontiguousarray(mesh.triangles), len(mesh.vertices)
    return Layer(
        vertices,
        area_normals(vertices, triangles),
        triangles,
        np.full(len(triangles), label, np.uint8),
        np.zeros(len(triangles), bool),
        np.full((count, 3), colour, np.float32),
        np.zeros(count, np.float32),
        np.full(count, 0.5, np.float32),
        np.zeros(count, np.float32),
        np.ones((count, COUNT), np.float32),
    )


def black(view=FRONT):
    return np.zeros((*view.size, 3), np.float32)


def test_a_plate_is_where_it_should_be_with_its_label_and_depth():
    drawing = draw(plate(50, 0.0, SKIN), FRONT, GREY, black())
    # 1000 px focal length at 1000 mm: a millimetre is a pixel, and the plate reaches pixels 50 to 150.
    assert (drawing.labels == SKIN).sum() == pytest.approx(101**2, rel=0.02)
    assert drawing.covered.sum() == pytest.approx(100**2, rel=1e-3)
    assert drawing.labels[100, 60] == SKIN and drawing.labels[100, 40] == 0
    depth = depth_map(plate(50, 0.0, SKIN), FRONT)
    assert_allclose(depth[60:140, 60:140], 1000, rtol=1e-6)
    assert np.isinf(depth[0, 0])


def test_even_light_shows_the_linear_albedo():
    drawing = draw(plate(50, 0.0, SKIN, colour=0.5), FRONT, GREY, black())
    # Deviations are those of 48 directions from the integral over the hemisphere.
    assert_allclose(drawing.light[100, 100], 0.5 * 0.5**2.2, rtol=0.02)


def test_the_nearer_plate_hides_the_other():
    both = join([plate(50, 0.0, SKIN), plate(20, 100.0, CLOTHES)])
    drawing = draw(both, FRONT, GREY, black())
    assert drawing.labels[100, 100] == CLOTHES and drawing.labels[100, 60] == SKIN
    assert drawing.nearest[200, 200] == pytest.approx(900)


def test_a_lamp_throws_a_shadow_where_the_line_from_it_says():
    # From (-500, 0, 500) past (0, 0, 100) the line meets the wall z = 0 at x = 125.
    lamp = Lamp(np.array([-500.0, 0.0, 500.0]), np.ones(3), 5.0)
    lights = Lights(
        "test", np.zeros(3), np.zeros(3), np.array([[0.0, 0, 1]]), np.ones(1), np.zeros((1, 3)), lamp
    )
    wide = place_camera((0, 0, 0), 1000.0, 500.0, (201, 201))
    scene = join([plate(190, 0.0, SKIN), plate(20, 100.0, CLOTHES)])
    light = draw(scene, wide, lights, black(wide)).light[..., 0]
    row = 100 + np.array([125, 60, 180]) // 2  # half a pixel a millimetre
    assert light[100, row[0]] < 0.05 * light[100, row[1]] and light[100, row[2]] > 0.01
    assert light[100 + 50, row[0]] > 0.01


def test_sheen_shines_where_the_lamp_is_mirrored():
    lamp = Lamp(np.array([0.0, 0.0, 1000.0]), np.ones(3), 5.0)  # at the pinhole
    nothing = np.zeros(3)
    lights = Lights("test", nothing, nothing, np.array([[0.0, 0, 1]]), np.ones(1), np.zeros((1, 3)), lamp)
    dull = plate(95, 0.0, SKIN)
    glossy = replace(dull, gloss=np.ones_like(dull.gloss), roughness=np.full_like(dull.roughness, 0.3))
    added = draw(glossy, FRONT, lights, black()).light - draw(dull, FRONT, lights, black()).light
    # Perpendicular to the mirror: pi D V F cos = (1 / alpha^2) 0.25 0.028 with alpha = 0.3^2.
    assert added[100, 100, 0] == pytest.approx(0.25 * 0.028 / 0.3**4, rel=0.02)
    assert added[100, 190, 0] < 0.7 * added[100, 100, 0]


@pytest.fixture(scope="module")
def studio(population) -> Studio:
    return Studio(population)


@pytest.fixture(scope="module")
def head(studio) -> Layer:
    return studio.body(studio.population.person(2)).layer


@pytest.fixture(scope="module")
def landmarks(studio) -> Landmarks:
    return Landmarks(studio.population.topology, studio.population.anatomy.mean)


def take(landmarks, layers, yaw=0.0, seed=0):
    random = np.random.default_rng(seed)
    view = place_camera((yaw, 0.0, 0.0), 900.0, 900.0, (260, 240), (0.0, 10.0))
    scene = Scene(layers, view, GREY, random_sensor(random))
    return photograph(landmarks, scene, random, with_depth=True)


def test_landmarks_lie_on_the_features_they_name(landmarks, head):
    picture = take(landmarks, [head])
    assert picture.image.shape == (260, 240, 3) and picture.visible68[17:].all()
    at = np.rint(picture.landmarks68).astype(int)
    eyes = picture.landmarks68[36:42].mean(0).round().astype(int)
    assert picture.labels[eyes[1], eyes[0]] == EYES
    depth = picture.depth[at[17:36, 1], at[17:36, 0]]
    assert np.isfinite(depth).all() and (np.abs(depth - 900) < 80).all()
    assert picture.landmarks68[36, 0] < picture.landmarks68[45, 0]
    assert picture.landmarks68[8, 1] > picture.landmarks68[30, 1]
    # The jaw lies on the outline: a step outward from its ends is background, a step inward is head.
    left, right = at[1], at[15]
    assert picture.labels[left[1], left[0] + 6] == SKIN and picture.labels[right[1], right[0] - 6] == SKIN


def test_what_lies_before_the_face_hides_its_landmarks(landmarks, head):
    cover = plate(18, 80.0, OCCLUDER, centre=(-32.0, 28.0))
    hidden = ~take(landmarks, [head, cover]).visible68
    assert hidden[36:42].all() and not hidden[42:48].any() and not hidden[48:].any()


def test_a_turned_head_hides_its_far_side(landmarks, head):
    visible = take(landmarks, [head], yaw=70.0).visible68
    # The nose goes to the image right: the eye there disappears behind it.
    assert not visible[45] and visible[36:40].all()


def test_an_accessory_becomes_a_layer_of_its_label(head):
    thing = Accessory(
        "cap", OCCLUDER, head.vertices[:3], np.array([[0, 1, 2]]), np.ones((3, 3), np.float32), 0.5
    )
    layer = layer_of(thing)
    assert layer.labels.tolist() == [OCCLUDER] and layer.two_sided.all() and (layer.gloss < 0).all()


def test_shoulders_join_the_neck_and_turn(studio, head):
    ring = neck_ring(studio.triangles, studio.population.anatomy.mean[:, 1])
    garment = random_garment(np.random.default_rng(0))
    quarter = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    tone = np.full(3, 0.5, np.float32)
    maps = SkyMaps(head.vertices, studio.triangles, wanted=DIRECTIONS[:, 1] > 0.9)
    straight, turned = (torso(head, ring, garment, turn, tone, maps) for turn in (np.eye(3), quarter))
    assert_allclose(straight.vertices[: len(ring)], head.vertices[ring], atol=1e-3)
    assert_allclose(turned.vertices[: len(ring)], head.vertices[ring], atol=1e-3)
    below = straight.vertices[:, 1] < -300
    assert np.ptp(straight.vertices[below, 0]) > 1.5 * np.ptp(straight.vertices[below, 2])
    assert np.ptp(turned.vertices[below, 2]) > 1.5 * np.ptp(turned.vertices[below, 0])
    # Outside is outside: normals point away from the axis of the body.
    outward = straight.vertices[below] * [1, 0, 1] - [0, 0, -106]
    assert ((straight.normals[below] * outward).sum(1) > 0).mean() > 0.95


def test_the_mouth_is_dark_inside_and_named(landmarks, studio):
    population = studio.population
    person = population.person(2)
    body = studio.body(person)
    strengths = np.zeros(52)
    strengths[population.blendshape_names.index("jawOpen")] = 0.8
    picture = take(landmarks, [body.posed(population.shape(person, strengths))])
    inner = picture.landmarks68[60:68].mean(0).round().astype(int)
    assert picture.labels[inner[1], inner[0]] == MOUTH


def test_the_lighting_reproduces_the_brightness_of_the_skin(landmarks, head):
    picture = take(landmarks, [head])
    assert picture.lighting.shape == (27,) and np.isfinite(picture.lighting).all()
    assert torch.from_numpy(picture.lighting).reshape(3, 9)[:, 1:].abs().max() < 0.05  # even light
