"""Detectors see some landmarks elsewhere than the model has them."""

import dataclasses
import logging

import pytest
import torch

from facemill.coarse.expression_space import expression_space
from facemill.coarse.landmark_stage import LandmarkStage
from facemill.coarse.settings import LandmarkStageSettings
from facemill.faces.decode import FaceDecoder
from facemill.faces.landmark_offsets import landmark_offsets
from facemill.geometry.camera import deep3d_crop_camera
from facemill.geometry.rotation import matrix_from_euler_deep3d
from facemill.models.coefficients import neutral_coefficients
from facemill.models.head import load_head


def test_the_shipped_head_is_the_one_that_was_measured(repository, caplog):
    topology = load_head(repository / "resources" / "models" / "head.npz").topology
    with caplog.at_level(logging.WARNING):
        offsets = landmark_offsets(topology, "dlib68")
    assert not caplog.records
    assert (offsets[:17] == 0).all() and (offsets[17:] != 0).any(dim=1).sum() >= 50
    assert offsets.norm(dim=1).max() < 7
    # the corners of the mouth are seen further inside, alike on both sides; the tip of the nose higher
    assert offsets[48, 0] > 2 and offsets[54, 0] == -offsets[48, 0]
    assert offsets[30, 1] > 1.5 and abs(offsets[30, 0]) < 0.01
    assert (landmark_offsets(topology, "model") == 0).all()


def test_another_model_gets_no_offset_and_a_line_in_the_log(toy_model, caplog):
    with caplog.at_level(logging.WARNING):
        assert (landmark_offsets(toy_model.topology, "dlib68") == 0).all()
    assert "0 of 51 are this model's" in caplog.text


@pytest.fixture
def offsets():
    return torch.randn(68, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64) * 3


def test_offsets_turn_with_the_head_and_are_projected(toy_model, offsets):
    model = toy_model
    start = neutral_coefficients(model, 1, "cpu", torch.float64)
    turned = dataclasses.replace(start, rotation=torch.tensor([[0.2, -0.5, 0.1]], dtype=torch.float64))
    plain, moved = FaceDecoder(model)(turned), FaceDecoder(model, landmark_offsets=offsets)(turned)
    assert torch.equal(plain.vertices, moved.vertices)
    # by moving the vertices themselves, in the head frame
    ids = plain.landmark_vertices[0]
    shape = plain.shape[0].clone()
    shape[ids] += offsets
    decoder = FaceDecoder(model)
    posed = shape @ matrix_from_euler_deep3d(turned.rotation)[0].T + turned.translation[0]
    camera = decoder.camera.points_in_camera(posed)
    pixels = 1015 * camera[:, :2] / camera[:, 2:] + torch.tensor([112.0, 111.0], dtype=torch.float64)
    torch.testing.assert_close(moved.landmarks[0], pixels[ids], rtol=0, atol=1e-9)


def test_the_landmark_stage_finds_the_shape_that_the_shifted_landmarks_are_of(toy_model, offsets):
    space = expression_space(toy_model, 0.5, 1.0)
    settings = LandmarkStageSettings(noise=0.2, mouth_noise=0.2, contour_noise=0.2)
    true = neutral_coefficients(toy_model, 1, "cpu", torch.float64)
    identity = torch.tensor([[1.0, -0.8, 0.6, -1.2, 0.4, 0.9]], dtype=torch.float64)
    rotation = torch.tensor([[0.05, 0.3, -0.1]], dtype=torch.float64)
    true = dataclasses.replace(true, identity=identity, rotation=rotation)
    seen = FaceDecoder(toy_model, landmark_offsets=offsets)(true).landmarks
    centre = neutral_coefficients(space.model, 1, "cpu", torch.float64)
    errors = []
    for given in (offsets, None):
        stage = LandmarkStage(space, deep3d_crop_camera(), settings, given)
        found = stage.fit(seen, centre, 1.0, pose_first=True).coefficients
        errors.append(float((found.identity - identity).norm()))
    assert errors[0] < 0.3 < errors[1]
