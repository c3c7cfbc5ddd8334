"""Synthetic people: the same each time, faces without broken geometry, and beyond the basis of the model."""

import numpy as np
import pytest

from facemill.geometry.mesh import boundary_edges
from facemill.geometry.refinement import refine
from facemill.models.head import load_head
from facemill.models.head_builder.parts import LEFT_EYE, RIGHT_EYE
from facemill.runtime.seeds import generator_of
from facemill.synthesis.individuals import warp


def test_a_person_is_the_same_each_time_and_unlike_others(population):
    first, other, again = (population.person(n) for n in (12, 13, 12))
    assert first.base_shape.tobytes() == again.base_shape.tobytes()
    assert population.shape(first, {}).tobytes() == population.shape(again, {}).tobytes()
    assert first.seed != other.seed
    assert np.abs(first.base_shape - other.base_shape).mean() > 0.5
    assert (first.name, first.split, other.split) == ("person_000012", "train", "train")


def test_a_negative_number_is_refused(population):
    with pytest.raises(ValueError, match="number: expected 0 or more, found -1"):
        population.person(-1)


def test_people_lie_outside_the_span_of_the_identity_basis(population, repository):
    head = load_head(repository / "resources" / "models" / "head.npz")
    face = population.topology.regions["face"].numpy()
    mean = head.mean_shape.numpy()[face].astype(np.float64)
    centred = mean - mean.mean(axis=0)
    turns = np.stack([np.cross(axis, centred) for axis in np.eye(3)])
    shifts = np.stack([np.tile(axis, (len(mean), 1)) for axis in np.eye(3)])
    basis = np.concatenate([head.identity_basis.numpy()[:, face], turns, shifts]).reshape(-1, mean.size)
    residuals, distances = [], []
    for number in range(0, 60, 10):
        offset = population.shape(population.person(number), {}, wrinkles=False)[face] - mean
        flat = offset.ravel()
        best = basis.T @ np.linalg.solve(basis @ basis.T + 1e-6 * np.eye(len(basis)), basis @ flat)
        residuals.append(np.median(np.linalg.norm((flat - best).reshape(-1, 3), axis=1)))
        distances.append(np.median(np.linalg.norm(offset, axis=1)))
    assert 0.25 < np.median(residuals) < 1.0
    assert 1.5 < np.median(distances) < 7.0


def test_neutral_lips_meet(population):
    seal = population.anatomy.seal
    for number in range(20):
        opening = population.person(number).base_shape[:, 1] @ seal.gap.T
        assert opening.min() > -0.6 and opening.max() < 0.6


def test_the_warp_moves_eyeballs_as_a_whole_and_keeps_lids_at_their_distance(population):
    anatomy = population.anatomy
    shape = anatomy.base_mean
    moved = warp(shape, anatomy.parts, generator_of(0, "warp"))
    skin = anatomy.face_rows
    assert 0.2 < np.sqrt((moved[skin] ** 2).sum(axis=1).mean()) < 1.5
    for eye in (LEFT_EYE, RIGHT_EYE):
        ball = anatomy.parts.vertices_of(eye)
        assert np.ptp(moved[ball], axis=0).max() < 1e-9
        centre = shape[ball].mean(axis=0)
        before = np.linalg.norm(shape[skin] - centre, axis=1)
        after = np.linalg.norm((shape + moved)[skin] - centre - moved[ball[0]], axis=1)
        lids = before < before.min() + 1.0
        assert np.abs(after - before)[lids].max() < 0.1


def test_finer_surfaces_keep_the_vertices_and_open_no_cracks(population):
    coarse, fine = population.finer(0), population.finer(1)
    count = len(coarse.rest)
    assert len(fine.rest) > 2.5 * count and fine.spacing < 0.55 * coarse.spacing
    assert np.linalg.norm(fine.rest[:count] - coarse.rest, axis=1).max() < 0.2
    assert len(boundary_edges(fine.triangles)) == len(boundary_edges(coarse.triangles))
    assert np.abs(fine.operator.sum(axis=1) - 1).max() < 1e-9
    assert fine.uv.min() >= 0 and fine.uv.max() <= 1 and len(fine.uv_triangles) == len(fine.triangles)
    assert set(np.unique(fine.triangles)) == set(range(len(fine.rest)))
    with pytest.raises(ValueError, match="level: expected 0, 1 or 2, found 3"):
        population.finer(3)


def test_one_refined_triangle_splits_its_neighbours():
    triangles = np.array([[0, 1, 2], [1, 3, 2], [3, 4, 2]])
    step = refine(triangles, triangles, 5, 5, np.array([True, False, False]))
    assert len(step.triangles) == 4 + 2 + 1  # four, the neighbour in two, the far one whole
    assert step.refined.sum() == 4
    flat = np.array([[0.0, 0, 0], [2, 0, 0], [0, 2, 0], [2, 2, 0], [1, 4, 0]])
    new = step.operator @ flat
    # Shared edge 1-2: 3/8 of its ends and 1/8 of vertices 0 and 3; the border edge 0-1: its middle.
    assert any(np.allclose(point, [1.0, 1.0, 0]) for point in new[5:])
    assert any(np.allclose(point, [1.0, 0.0, 0]) for point in new[5:])
    corners = new[step.triangles]
    area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2]
    assert (area > 0).all()
