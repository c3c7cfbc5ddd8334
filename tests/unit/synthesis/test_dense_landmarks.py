"""The points that dense landmarks are, and where a picture shows them."""

import numpy as np
from numpy.testing import assert_allclose
from scipy.spatial import cKDTree

from facemill.synthesis.dense_landmarks import DENSE_COUNT, dense_landmark_vertices
from facemill.synthesis.identities import Population


def test_dense_landmarks_begin_with_the_inner_51_and_cover_the_face_evenly(population: Population) -> None:
    topology, mean = population.topology, population.anatomy.mean
    ids = dense_landmark_vertices(topology, mean)
    assert len(ids) == len(set(ids.tolist())) in (DENSE_COUNT, DENSE_COUNT + 1)
    assert ids[:51].tolist() == topology.landmarks68[17:].tolist()
    regions = {name: mask.numpy() for name, mask in topology.regions.items()}
    assert regions["face"][ids].all()
    assert not regions["eyeballs"][ids].any() and not regions["scalp"][ids].any()
    skin = regions["face"] & ~regions["eyeballs"] & ~regions["mouth_interior"] & ~regions["ears"]
    farthest = cKDTree(mean[ids]).query(mean[skin & ~regions["neck"] & ~regions["scalp"]])[0].max()
    assert farthest < 10.0


def test_each_dense_landmark_has_its_mirror_image_among_them(population: Population) -> None:
    mean = population.anatomy.mean
    points = mean[dense_landmark_vertices(population.topology, mean)]
    distance, other = cKDTree(points).query(points * [-1, 1, 1])
    assert distance.max() < 0.6
    assert_allclose(other[other], np.arange(len(points)))
