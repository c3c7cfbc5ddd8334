"""Jaw landmarks that slide: on the silhouette of the far cheek, on the jaw itself on the near side."""

import math

import pytest
import torch

from facemill.geometry.camera import deep3d_crop_camera, project
from facemill.geometry.mesh import vertex_normals
from facemill.geometry.rotation import matrix_from_euler_deep3d
from facemill.models.contour import SlidingContour


def chosen_vertices(model, yaw_degrees, roll_degrees=0.0):
    contour = SlidingContour(model.topology, model.mean_shape)
    angles = torch.tensor([0.0, math.radians(yaw_degrees), math.radians(roll_degrees)], dtype=torch.float64)
    rotation = matrix_from_euler_deep3d(angles)
    posed = model.mean_shape @ rotation.T
    camera = deep3d_crop_camera(dtype=torch.float64)
    pixels = project(posed, camera).pixels[contour.candidates][None]
    column = contour.choose(pixels, angles[2:])[0]
    ids = contour.candidates[torch.arange(17), column]
    rays = posed - torch.tensor([0.0, 0.0, 1000.0], dtype=torch.float64)
    facing = -(vertex_normals(posed, model.topology.triangles) * rays / rays.norm(dim=1, keepdim=True)).sum(1)
    return ids, facing


@pytest.mark.parametrize("yaw", [40, -40])
def test_far_cheek_takes_the_silhouette_and_near_cheek_the_jaw(toy_model, yaw):
    ids, facing = chosen_vertices(toy_model, yaw)
    jaw = toy_model.topology.landmarks68[:17]
    # Positive yaw turns the nose to the image right, so the image-right cheek (9..16) is the far one.
    far, near = (slice(14, 17), slice(0, 6)) if yaw > 0 else (slice(0, 3), slice(11, 17))
    # On the silhouette the surface turns away: the cosine between normal and ray is 0. Candidates
    # 2.5 degrees of longitude apart allow about sin(2.5 degrees) = 0.04; the anatomical jaw there is
    # hidden (negative).
    assert facing[ids[far]].abs().max() < 0.06
    assert facing[jaw[far]].max() < -0.2
    assert (toy_model.mean_shape[ids[near]] - toy_model.mean_shape[jaw[near]]).norm(dim=1).max() < 8


def test_frontal_head_keeps_its_jaw(toy_model):
    ids, _ = chosen_vertices(toy_model, 0)
    moved = (toy_model.mean_shape[ids] - toy_model.mean_shape[toy_model.topology.landmarks68[:17]]).norm(
        dim=1
    )
    assert moved[[*range(5), *range(12, 17)]].max() < 8


def test_roll_does_not_change_the_choice(toy_model):
    upright, _ = chosen_vertices(toy_model, 30)
    rolled, _ = chosen_vertices(toy_model, 30, roll_degrees=25)
    # Perspective depends on roll only through the principal point, 1 px from the image centre.
    moved = (toy_model.mean_shape[upright] - toy_model.mean_shape[rolled]).norm(dim=1)
    assert moved.max() < 4


def test_outward_points_away_from_the_face(toy_model):
    contour = SlidingContour(toy_model.topology, toy_model.mean_shape)
    assert (contour.outward[:8, 0] < 0).all()
    assert (contour.outward[9:, 0] > 0).all()
    assert contour.outward[8, 1] < -0.99
    torch.testing.assert_close(contour.outward.norm(dim=1), torch.ones(17, dtype=torch.float64))
