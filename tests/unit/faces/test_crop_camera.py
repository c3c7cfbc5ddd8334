"""How far the camera of the crop is: the strength of the perspective."""

import dataclasses

import numpy as np
import pytest
import torch

from facemill.coarse.expression_space import expression_space
from facemill.coarse.landmark_stage import LandmarkStage
from facemill.coarse.settings import CoarseSettings, LandmarkStageSettings
from facemill.faces.crop_camera import crop_camera
from facemill.faces.decode import FaceDecoder
from facemill.geometry.camera import deep3d_crop_camera, project
from facemill.models.coefficients import neutral_coefficients


def test_a_nearer_camera_keeps_the_size_and_has_more_perspective():
    # at the origin 50 mm are 1015 * 50 / 1000 = 50.75 px from either distance; 100 mm nearer to the camera
    # they are 1015 * 50 / 900 = 56.39 px from 1 m, 609 * 50 / 500 = 60.9 px from 0.6 m
    points = torch.tensor([[50.0, 0, 0], [50.0, 0, 100]], dtype=torch.float64)
    for distance, near in ((1000.0, 1015 * 50 / 900), (600.0, 60.9)):
        camera = deep3d_crop_camera(dtype=torch.float64, distance=distance)
        x = project(points, camera).pixels[:, 0] - 112
        assert x.tolist() == pytest.approx([50.75, near])


def test_the_camera_of_a_shard():
    assert float(crop_camera({}).translation[2]) == 1000
    assert float(crop_camera({"camera_distance": np.zeros(0)}).translation[2]) == 1000
    camera = crop_camera({"camera_distance": np.full(3, 600.0)})
    assert float(camera.translation[2]) == 600 and float(camera.intrinsics[0, 0]) == pytest.approx(609)
    with pytest.raises(ValueError, match="one value for a shard"):
        crop_camera({"camera_distance": np.array([600.0, 1000.0])})


def test_the_right_distance_gives_the_right_shape(toy_model):
    space = expression_space(toy_model, 0.5, 1.0)
    settings = LandmarkStageSettings(noise=0.2, mouth_noise=0.2, contour_noise=0.2)
    identity = torch.tensor([[1.0, -0.8, 0.6, -1.2, 0.4, 0.9]], dtype=torch.float64)
    centre = neutral_coefficients(space.model, 1, "cpu", torch.float64)
    near = deep3d_crop_camera(dtype=torch.float64, distance=400.0)
    seen = FaceDecoder(toy_model, near)(dataclasses.replace(centre, identity=identity)).landmarks
    errors = []
    for distance in (400.0, 1000.0):
        stage = LandmarkStage(space, deep3d_crop_camera(dtype=torch.float64, distance=distance), settings)
        found = stage.fit(seen, centre, 1.0, pose_first=True).coefficients
        errors.append(float((found.identity - identity).norm()))
    assert errors[0] < 0.3 < errors[1]
    assert CoarseSettings().camera_distance == 600
