"""Wrinkles: where the movement is, deeper with age, blurred on coarse meshes."""

from dataclasses import replace

import numpy as np
import pytest

from facemill.synthesis.displacement import wrinkles_of
from facemill.synthesis.expressions import strengths_of
from facemill.synthesis.loops import along_line, area_normals
from facemill.synthesis.relief import furrows, pores


def wrinkles(population, number=7, level=0, **changes):
    person = replace(population.person(number), **changes)
    return wrinkles_of(population.folds, population.finer(level), person)


def moved(population, made, blendshapes):
    names = population.blendshape_names
    return made(strengths_of(blendshapes, names)) - made(np.zeros(52))


def test_raised_brows_wrinkle_the_forehead_and_nothing_else(population):
    change = moved(population, wrinkles(population), {"browInnerUp": 1.0})
    rest = population.finer(0).rest
    folded = np.abs(change) > 0.02
    assert folded.sum() > 300
    assert rest[folded, 1].min() > rest[population.topology.landmarks68.numpy()[24], 1] + 4
    assert change.min() < -0.15 and change.max() > 0.03  # grooves, and bulges between them


def test_one_side_that_smiles_folds_on_that_side(population):
    made, rest = wrinkles(population), population.finer(0).rest
    left = np.abs(moved(population, made, {"mouthSmileLeft": 1.0}))
    assert left[rest[:, 0] > 12].max() > 0.3  # the person's left is at +x
    assert left[rest[:, 0] < -12].max() == 0


def test_age_deepens_what_the_face_shows_at_rest(population):
    young, old = (wrinkles(population, age=age) for age in (0.0, 1.0))
    assert np.array_equal(young.aged, np.zeros_like(young.aged))
    assert old.aged.max() > 0.3
    assert np.abs(old.profiles @ old.aged).max() < 2.0


def test_no_fold_is_deeper_than_it_can_be(population):
    made = wrinkles(population, age=1.0)
    everything = made(np.ones(52)) - made.relief - made.bunching
    assert np.abs(everything).max() < 3.0
    assert (np.minimum(made.aged + made.depths @ np.ones(52), made.deepest) <= made.deepest).all()


def test_coarse_meshes_carry_shallower_fine_lines(population):
    coarse, fine = (wrinkles(population, number=1, age=1.0, level=level) for level in (0, 1))
    names = [fold.name for fold in population.folds.folds]

    def depth(made, name):
        return -made.profiles[:, names.index(name)].toarray().min()

    assert depth(coarse, "lip_3") < 0.75 * depth(
        fine, "lip_3"
    )  # 0.6 mm wide, against 1.4 mm between vertices
    assert depth(coarse, "nasolabial") > 0.9 * depth(fine, "nasolabial")
    assert fine.relief.std() > 0 and coarse.relief.std() > 0


def test_eyeballs_and_teeth_have_no_relief(population):
    made, points = wrinkles(population), population.finer(0).points
    hard = (points.eyeball + points.teeth + points.tongue) > 0
    assert np.abs(made(np.ones(52))[hard]).max() == 0


def test_wrinkles_move_vertices_along_the_normal(population):
    person = population.person(7)
    smooth = population.shape(person, {"browInnerUp": 1.0}, wrinkles=False)
    shape = population.shape(person, {"browInnerUp": 1.0})
    along = population.wrinkles(person)(strengths_of({"browInnerUp": 1.0}, population.blendshape_names))
    normals = area_normals(smooth, population.anatomy.triangles)
    assert np.abs((shape - smooth) - along[:, None] * normals).max() < 1e-4
    assert np.linalg.norm(shape - smooth, axis=1).max() > 0.1


def test_places_along_a_line_by_hand():
    line = np.array([[0.0, 0, 0], [4, 0, 0], [4, 3, 0]])
    points = np.array([[1.0, 2, 0], [4, 2, 1], [9, 9, 9]])
    number, distance, run, left = along_line(points, line, 2.5)
    assert number.tolist() == [0, 1]
    assert distance == pytest.approx([2.0, 1.0])
    assert run == pytest.approx([1.0, 6.0])
    assert left == pytest.approx([2.0, 0.0])


def test_normals_of_a_corner_weigh_triangles_by_area():
    vertices = np.array([[0, 0, 0], [3, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float32)
    normals = area_normals(vertices, np.array([[0, 1, 2], [0, 2, 3]]))
    assert normals[0] == pytest.approx(np.array([1.0, 0.0, 3.0]) / np.sqrt(10), abs=1e-6)
    assert normals[1] == pytest.approx([0, 0, 1])


def test_pores_are_scattered_pits_and_furrows_a_net():
    side = np.stack(np.meshgrid(np.arange(0, 12, 0.1), np.arange(0, 12, 0.1), [0.3]), axis=-1).reshape(-1, 3)
    pits = pores(side, 1.25, 0.2, 5)
    assert pits.min() >= 0 and 0.7 < pits.max() <= 1 and pits.mean() < 0.15
    assert not np.array_equal(pits, pores(side, 1.25, 0.2, 6))
    net = furrows(side, 1.0, 5)
    assert net.min() >= 0 and net.max() > 0.95 and 0.05 < (net > 0.5).mean() < 0.4
