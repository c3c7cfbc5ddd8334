"""What people wear fits them: near the skin, not through it, and the same each time."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from facemill.runtime.seeds import generator_of
from facemill.synthesis.accessories import (
    CLOTHES,
    FACIAL_HAIR,
    GLASSES,
    HAIR,
    HAT,
    OCCLUDER,
    Chances,
    random_accessories,
)
from facemill.synthesis.accessory import closed_tube, grid_triangles, tube
from facemill.synthesis.glasses import glasses
from facemill.synthesis.hair import BALD, STYLES, hair, random_style
from facemill.synthesis.hands import PLACES, hand
from facemill.synthesis.hats import KINDS, covered, hat, hat_line
from facemill.synthesis.height_map import HeightMap
from facemill.synthesis.loops import area_normals

ALWAYS = Chances(glasses=1, hat=1, hand=1, mask=0, scarf=1, top=1)


def outside(population, shape, points):
    """Signed distance of points from the nearest vertices of the skin, along their normals."""
    skin = population.wardrobe.skin
    normals = area_normals(shape, population.anatomy.triangles)[skin]
    distance, nearest = cKDTree(shape[skin]).query(points)
    height = ((points - shape[skin][nearest]) * normals[nearest]).sum(axis=1)
    return distance, height


def volume(mesh):
    vertices, triangles = mesh
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    return (a * np.cross(b, c)).sum() / 6


@pytest.mark.parametrize("number", [1, 6, 23])
def test_all_accessories_are_sound_meshes_and_repeat(population, number):
    person = population.person(number)
    shape = population.shape(person, {"jawOpen": 0.2})
    first, second = (
        random_accessories(population, person, shape, generator_of(number, "photo"), ALWAYS) for _ in range(2)
    )
    assert {GLASSES, HAT, OCCLUDER, CLOTHES} <= {worn.label for worn in first}
    for worn, again in zip(first, second, strict=True):
        assert worn.vertices.tobytes() == again.vertices.tobytes()
        assert worn.colours.tobytes() == again.colours.tobytes()
        assert np.isfinite(worn.vertices).all() and worn.vertices.dtype == np.float32
        assert worn.triangles.min() == 0 and worn.triangles.max() == len(worn.vertices) - 1
        assert worn.colours.shape == worn.vertices.shape
        assert worn.colours.min() > 0 and worn.colours.max() < 1
        assert worn.label in (HAIR, FACIAL_HAIR, GLASSES, HAT, OCCLUDER, CLOTHES)


def test_rims_stand_before_the_skin_and_temples_reach_the_ears(population):
    wardrobe, ears = population.wardrobe, population.topology.regions["ears"].numpy()
    for number in range(8):
        shape = population.shape(population.person(number), {})
        worn = glasses(
            shape, population.anatomy.mean, wardrobe.landmarks, wardrobe.skin, generator_of(number, "glasses")
        )
        _, height = outside(population, shape, worn.vertices)
        assert np.mean(height < -1.0) < 0.02
        for side in (-1, 1):
            ear = shape[ears & (population.anatomy.mean[:, 0] * side > 0)]
            assert cKDTree(worn.vertices).query(ear)[0].min() < 6.0
        assert outside(population, shape, worn.vertices)[0].min() < 6.0


@pytest.mark.parametrize("style", sorted(STYLES))
def test_hair_grows_outward_on_the_skull(population, style):
    person = population.person(2)
    shape = population.shape(person, {})
    worn = hair(population.wardrobe.grid, shape, style, person.complexion.hair, generator_of(0, style))
    assert worn.label == HAIR
    crown = worn.vertices[:, 1].max() - shape[:, 1].max()
    if style != "bald_top":
        assert 0.5 < crown < 70
    eyes = shape[population.wardrobe.landmarks[36:48]].mean(axis=0)
    covering = (
        (np.abs(worn.vertices[:, 0]) < 30) & (worn.vertices[:, 1] < eyes[1] + 4) & (worn.vertices[:, 2] > 0)
    )
    assert not covering.any()  # no style hangs before the eyes


def test_the_bald_have_no_hair_and_hats_press_hair_down(population):
    grid, person = population.wardrobe.grid, population.person(2)
    shape = population.shape(person, {})
    assert hair(grid, shape, BALD, np.full(3, 0.2), generator_of(0, "x")) is None
    worn = covered(grid, "beanie", (70.0, 20.0))
    free, pressed = (
        hair(grid, shape, "afro", np.full(3, 0.2), generator_of(0, "x"), pressing)
        for pressing in (None, worn)
    )
    assert pressed.vertices[:, 1].max() < free.vertices[:, 1].max() - 15


@pytest.mark.parametrize("kind", KINDS)
def test_hats_cover_the_crown_and_leave_the_eyes(population, kind):
    shape = population.shape(population.person(8), {})
    random = generator_of(0, kind)
    worn = hat(population.wardrobe.grid, shape, kind, hat_line(kind, random), random)
    assert worn.vertices[:, 1].max() > shape[:, 1].max() + 3
    eyes = shape[population.wardrobe.landmarks[36:48]]
    assert cKDTree(worn.vertices[:, :2][worn.vertices[:, 2] > -20]).query(eyes[:, :2])[0].min() > 4
    with pytest.raises(ValueError, match="kind: expected one of beanie"):
        hat(population.wardrobe.grid, shape, "crown", (70.0, 20.0), random)


@pytest.mark.parametrize("place", sorted(PLACES))
def test_hands_lie_on_the_face(population, place):
    shape = population.shape(population.person(11), {})
    wardrobe = population.wardrobe
    worn = hand(shape, population.anatomy.mean, wardrobe.skin, place, np.full(3, 0.5), generator_of(0, place))
    distance, height = outside(population, shape, worn.vertices)
    assert distance.min() < 3.0
    assert np.mean((height < -6.0) & (distance < 15)) < 0.05


def test_styles_follow_sex_and_age():
    women = [random_style(0.1, 0.2, 0.0, generator_of(n, "w")) for n in range(100)]
    men = [random_style(0.9, 1.0, 0.0, generator_of(n, "m")) for n in range(100)]
    assert np.mean([STYLES[name].hang > 0 for name in women]) > 0.5
    assert np.mean([name in (BALD, "bald_top", "receding") for name in men]) > 0.4


def test_tubes_face_outwards_and_have_their_volume():
    straight = tube(np.array([[0.0, 0, 0], [0, 0, 5], [0, 0, 10]]), 1.0, sides=64)
    assert volume(straight) == pytest.approx(np.pi * 10, rel=0.2)  # and two round ends
    angle = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    ring = np.stack([10 * np.cos(angle), 10 * np.sin(angle), 0 * angle], axis=1)
    for path in (ring, ring[::-1]):
        assert volume(closed_tube(path, 1.0, sides=32)) == pytest.approx(np.pi * 2 * np.pi * 10, rel=0.02)


def test_grid_triangles_by_hand():
    assert grid_triangles(2, 2).tolist() == [[0, 2, 3], [0, 3, 1]]
    assert len(grid_triangles(3, 4, wrap=True)) == 2 * 2 * 4


def test_the_height_map_finds_the_highest_nearby():
    heights = HeightMap(np.array([[0.0, 0], [5, 0], [5, 1]]), np.array([1.0, 2, 7]), cell=1.0)
    assert heights.over(np.array([[0.0, 0], [5, 0.4], [40, 40]]), 0.6).tolist() == [1.0, 7.0, -np.inf]
