"""The photometric stage on renders of the toy model: better than its start, deaf to what is no face."""

from dataclasses import replace

import pytest
import torch

from facemill.coarse.expression_space import expression_space
from facemill.coarse.photometric_stage import FacePhotos, PhotometricStage, reduced
from facemill.coarse.settings import FITTING_WEIGHTS, FittingLevel, PhotometricStageSettings
from facemill.geometry.camera import deep3d_crop_camera
from facemill.models.coefficients import Coefficients, neutral_coefficients
from facemill.rendering.rasterize import interpolate, rasterize

QUICK = PhotometricStageSettings(
    levels=(FittingLevel(reduction=4, steps=15), FittingLevel(reduction=2, steps=5)), appearance_reduction=4
)


def known_faces(model, count=2) -> tuple[Coefficients, FacePhotos]:
    """Random faces and their renders before a grey wall, with true landmarks."""
    draw = torch.Generator().manual_seed(21)

    def normal(width, scale):
        return scale * torch.randn(count, width, generator=draw)

    truth = Coefficients(
        normal(6, 0.8), normal(4, 0.5), normal(3, 0.8), normal(3, 0.1), normal(3, 3), normal(27, 0.1)
    )
    stage = PhotometricStage(expression_space(model, 0.5, 1.0), QUICK, FITTING_WEIGHTS)
    decoded = stage.decoder(truth)
    triangles = stage.decoder.model.topology.triangles
    fragments = rasterize(decoded.vertices, triangles, deep3d_crop_camera().intrinsics, (224, 224), True)
    crops = interpolate(fragments, fragments.barycentrics, decoded.colors, triangles)
    crops = torch.where(fragments.mask[..., None], crops, 0.3)
    return truth, FacePhotos(crops, torch.ones(count, 224, 224), decoded.landmarks, torch.ones(count, 68))


@pytest.fixture(scope="module")
def model(toy_model):
    return toy_model.to(dtype=torch.float32)


def test_blocks_are_averaged_and_landmarks_stay_in_crop_pixels(model):
    _, photos = known_faces(model, 1)
    half = reduced(photos, 2)
    assert half.photo.shape == (1, 112, 112, 3)
    torch.testing.assert_close(half.photo[0, 3, 50], photos.crops[0, 6:8, 100:102].mean((0, 1)))
    assert half.landmarks is photos.landmarks


def test_the_truth_has_no_photometric_error(model):
    truth, photos = known_faces(model)
    stage = PhotometricStage(expression_space(model, 0.5, 1.0), QUICK, FITTING_WEIGHTS)
    assert stage.photometric_error(stage.decoder(truth), reduced(photos, 1)).max() < 1e-4


def test_fitting_brings_the_render_nearer_to_the_photo_and_the_shape_to_the_truth(model):
    truth, photos = known_faces(model)
    longer = PhotometricStageSettings(
        levels=(FittingLevel(reduction=2, steps=40), FittingLevel(reduction=1, steps=20)),
        appearance_reduction=2,
        learning_rate=0.08,
    )
    stage = PhotometricStage(expression_space(model, 0.5, 1.0), longer, FITTING_WEIGHTS)
    start = replace(truth, identity=torch.zeros(2, 6), lighting=torch.zeros(2, 27), albedo=torch.zeros(2, 3))
    found = stage.fit(photos, start, neutral_coefficients(model, 2))
    first, last = found.history["photometric"][0], found.history["photometric"][-1]
    assert (last < 0.8 * first).all()
    before = truth.identity.norm(dim=1)
    after = (found.coefficients.identity - truth.identity).norm(dim=1)
    assert (after < 0.7 * before).all()
    assert found.history["photometric"].shape == (60, 2)


def test_a_dark_bar_over_the_face_is_no_face(model):
    """A closed-form start that believed the bar would darken the whole face."""
    truth, photos = known_faces(model)
    crops = photos.crops.clone()
    crops[:, 20:60] = 0.05
    stage = PhotometricStage(expression_space(model, 0.5, 1.0), QUICK, FITTING_WEIGHTS)
    found = stage.fit(replace(photos, crops=crops), truth, neutral_coefficients(model, 2))
    clean = stage.fit(photos, truth, neutral_coefficients(model, 2))
    colours = [stage.decoder(fit.coefficients).colors[:, stage.skin].mean((1, 2)) for fit in (found, clean)]
    assert (colours[0] - colours[1]).abs().max() < 0.05


def test_no_attended_pixel_leaves_the_landmarks_in_charge(model):
    truth, photos = known_faces(model)
    stage = PhotometricStage(expression_space(model, 0.5, 1.0), QUICK, FITTING_WEIGHTS)
    found = stage.fit(
        replace(photos, attention=torch.zeros(2, 224, 224)), truth, neutral_coefficients(model, 2)
    )
    assert found.photometric_error.tolist() == [0, 0]
    assert found.coefficients.identity.isfinite().all()
    assert (found.landmarks - photos.landmarks).norm(dim=-1).mean() < 3


def test_eyeballs_and_the_inside_of_the_mouth_are_not_compared(model):
    topology = model.topology
    mouth = (model.mean_shape[:, :2] - torch.tensor([0.0, -40.0])).norm(dim=1) < 18
    regions = {**topology.regions, "mouth_interior": mouth}
    marked = replace(model, topology=replace(topology, regions=regions))
    truth, photos = known_faces(model)
    stage = PhotometricStage(expression_space(marked, 0.5, 1.0), QUICK, FITTING_WEIGHTS)
    crops = photos.crops.clone()
    fragments = stage.rasterize(stage.decoder(truth), 1)
    shown = ~stage.compared_triangles[fragments.triangle_ids.clamp(min=0)] & fragments.mask
    assert shown.sum() > 500
    crops[shown] = 1.0  # teeth
    error = stage.photometric_error(stage.decoder(truth), reduced(replace(photos, crops=crops), 1))
    assert error.max() < 1e-4
