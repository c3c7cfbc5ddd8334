"""Expression as bounded strengths of blendshapes."""

from dataclasses import replace

import pytest
import torch

from facemill.coarse.expression_space import expression_space, whole_expression_space
from facemill.coarse.landmark_stage import LandmarkStage
from facemill.coarse.photometric_stage import FacePhotos, PhotometricStage
from facemill.coarse.settings import (
    CoarseWeights,
    FittingLevel,
    LandmarkStageSettings,
    PhotometricStageSettings,
)
from facemill.faces.decode import FaceDecoder
from facemill.geometry.camera import deep3d_crop_camera
from facemill.models.coefficients import neutral_coefficients


@pytest.fixture(scope="module")
def named_model(toy_model):
    """The toy model with four blendshapes that mix its four expression coefficients; two cannot be seen."""
    shapes = torch.tensor(
        [[1.0, 2.0, 0.0, 0.0], [0.0, 1.5, -1.0, 0.0], [0.0, 0.0, 1.0, 1.0], [2.0, 0.0, 0.0, 1.0]],
        dtype=torch.float64,
    )
    names = ("jawOpen", "mouthSmileLeft", "eyeLookInLeft", "mouthClose")
    return replace(toy_model, blendshape_names=names, blendshape_coefficients=shapes)


def test_unknowns_show_the_same_shape_as_the_coefficients_they_stand_for(named_model):
    space = expression_space(named_model, 0.5, 1.0)
    strengths = torch.tensor([[0.7, 0.2]], dtype=torch.float64)
    identity = torch.zeros(1, 6, dtype=torch.float64)
    expected = named_model.expression_of({"jawOpen": 0.7, "mouthSmileLeft": 0.2})
    torch.testing.assert_close(space.coefficients(strengths), expected)
    torch.testing.assert_close(space.model.shape(identity, strengths), named_model.shape(identity, expected))


def test_unknowns_of_coefficients_are_near_and_within_the_bounds(named_model):
    space = expression_space(named_model, 0.5, 1.0)
    strengths = torch.tensor([[0.7, 0.2], [0.0, 1.0]], dtype=torch.float64)
    found = space.unknowns(space.coefficients(strengths))
    torch.testing.assert_close(
        found, strengths, atol=0.01, rtol=0
    )  # the ridge of 0.01 against squares of 3 to 5
    backwards = space.unknowns(-space.coefficients(strengths))
    assert backwards.min() == 0


def test_a_model_without_names_is_fitted_by_its_coefficients(toy_model):
    space = expression_space(toy_model, 0.5, 1.5)
    expression = torch.tensor([[3.0, -2.0, 0.5, 0.0]])
    assert space.model is toy_model
    assert space.unknowns(expression) is expression
    assert space.coefficients(expression) is expression
    assert (space.lower, space.upper, space.deviation) == (-float("inf"), float("inf"), 1.5)


def test_landmark_stage_keeps_the_bounds_and_finds_strengths_within(named_model):
    space = expression_space(named_model, 0.5, 1.0)
    stage = LandmarkStage(space, deep3d_crop_camera(), LandmarkStageSettings())
    centre = neutral_coefficients(space.model, 2, dtype=torch.float64)
    known = torch.tensor([[0.8, 0.1], [-0.9, 0.6]], dtype=torch.float64)  # the second jaw cannot be
    landmarks = FaceDecoder(space.model)(replace(centre, expression=known)).landmarks
    found = stage.fit(landmarks, centre, 1.0, pose_first=True).coefficients.expression
    assert found.min() >= 0
    assert found.max() <= 1
    assert found[0, 0].item() == pytest.approx(0.8, abs=0.15)
    assert found[1, 0].item() == 0


def test_photometric_stage_keeps_the_bounds(named_model):
    space = expression_space(named_model.to(dtype=torch.float32), 0.5, 1.0)
    quick = PhotometricStageSettings(levels=(FittingLevel(reduction=4, steps=25),), learning_rate=0.1)
    stage = PhotometricStage(space, quick, CoarseWeights())
    centre = neutral_coefficients(space.model)
    below = replace(centre, expression=torch.tensor([[-0.9, 0.6]]))
    landmarks = stage.decoder(below).landmarks
    photos = FacePhotos(
        torch.full((1, 224, 224, 3), 0.4), torch.ones(1, 224, 224), landmarks, torch.ones(1, 68)
    )
    found = stage.fit(photos, centre, centre).coefficients.expression
    assert found.min() >= 0
    assert found[0, 1] > 0.05


def test_the_whole_space_knows_gaze_too(named_model):
    space = whole_expression_space(named_model, 0.5)
    strengths = torch.tensor([[0.7, 0.2, 0.5, 0.1]], dtype=torch.float64)
    torch.testing.assert_close(space.coefficients(strengths), strengths @ named_model.blendshape_coefficients)
    assert (space.lower, space.upper, space.deviation) == (0.0, 1.0, 0.5)


def test_the_whole_space_of_a_model_without_blendshapes_is_its_coefficients(toy_model):
    space = whole_expression_space(toy_model, 0.5)
    assert space.model is toy_model
    assert space.blendshapes is None
