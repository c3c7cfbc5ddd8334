"""Both stages on several photos of one person: one identity, and what that is good for."""

from dataclasses import replace

import pytest
import torch

from facemill.coarse.expression_space import expression_space
from facemill.coarse.landmark_stage import LandmarkStage, PersonStart
from facemill.coarse.photometric_stage import FacePhotos, PhotometricStage
from facemill.coarse.settings import FITTING_WEIGHTS, LandmarkStageSettings
from facemill.faces.decode import FaceDecoder
from facemill.geometry.camera import deep3d_crop_camera
from facemill.models.coefficients import neutral_coefficients
from facemill.rendering.rasterize import interpolate, rasterize
from unit.coarse.test_landmark_stage import EXACT, truth
from unit.coarse.test_photometric_stage import QUICK, known_faces


def same_person(faces):
    """The faces with the identity and the albedo of the first."""
    first = faces.select(slice(0, 1))
    return replace(
        faces,
        identity=first.identity.expand_as(faces.identity),
        albedo=first.albedo.expand_as(faces.albedo),
    )


def fit_landmarks(model, landmarks, settings, together, deviation=1.0):
    stage = LandmarkStage(expression_space(model, 0.5, 1.0), deep3d_crop_camera(), settings)
    centre = neutral_coefficients(model, len(landmarks), dtype=torch.float64)
    person = PersonStart(centre, deviation) if together else None
    return stage.fit(landmarks, centre, 1.0, pose_first=True, person=person).coefficients


def test_perfect_landmarks_of_a_person_give_one_identity_and_each_pose_and_expression(toy_model):
    known = same_person(truth(toy_model, [0.0, 25.0, -40.0]))
    landmarks = FaceDecoder(toy_model)(known).landmarks
    found = fit_landmarks(toy_model, landmarks, EXACT, together=True)
    assert (found.identity == found.identity[0]).all()
    for name, tolerance in (("identity", 0.01), ("expression", 0.01), ("rotation", 1e-3)):
        assert (getattr(found, name) - getattr(known, name)).abs().max() < tolerance, name


def test_noise_of_several_photos_averages_out(toy_model):
    known = same_person(truth(toy_model, [0.0, 30.0, -30.0, 15.0, -15.0, 5.0]))
    clean = FaceDecoder(toy_model)(known).landmarks
    errors = {True: 0.0, False: 0.0}
    for seed in range(3):
        draw = torch.Generator().manual_seed(seed)
        seen = clean + 2.0 * torch.randn(clean.shape, generator=draw, dtype=torch.float64)
        for together in errors:
            found = fit_landmarks(toy_model, seen, LandmarkStageSettings(), together)
            errors[together] += float((found.identity - known.identity).norm(dim=1).mean())
    assert errors[True] < 0.5 * errors[False]  # 1/sqrt(6) = 0.41, and the prior draws six times less


def test_the_prior_of_a_person_counts_once(toy_model):
    """Two equal photos under a prior of variance 2 say what one says under a prior of variance 1."""
    landmarks = FaceDecoder(toy_model)(truth(toy_model, [10.0])).landmarks
    quadratic = LandmarkStageSettings(outlier_scale=1e6, iterations=60)
    twice = fit_landmarks(toy_model, landmarks.repeat(2, 1, 1), quadratic, True, deviation=0.5)
    alone = fit_landmarks(toy_model, landmarks, quadratic, True, deviation=0.5 * 2**0.5)
    torch.testing.assert_close(twice.identity[:1], alone.identity, atol=1e-4, rtol=0)
    other = fit_landmarks(toy_model, landmarks, quadratic, True, deviation=0.5)
    assert (other.identity - alone.identity).abs().max() > 1e-2


@pytest.fixture(scope="module")
def person(toy_model):
    """Model, truth of three photos of one person and their renders."""
    model = toy_model.to(dtype=torch.float32)
    known = same_person(known_faces(model, 3)[0])
    stage = PhotometricStage(expression_space(model, 0.5, 1.0), QUICK, FITTING_WEIGHTS)
    decoded = stage.decoder(known)
    triangles = stage.decoder.model.topology.triangles
    fragments = rasterize(decoded.vertices, triangles, deep3d_crop_camera().intrinsics, (224, 224), True)
    crops = interpolate(fragments, fragments.barycentrics, decoded.colors, triangles)
    crops = torch.where(fragments.mask[..., None], crops, 0.3)
    return model, known, FacePhotos(crops, torch.ones(3, 224, 224), decoded.landmarks, torch.ones(3, 68))


def fit_pixels(person, learning_rate=0.03, **arguments):
    model, known, photos = person
    settings = QUICK.model_copy(update={"learning_rate": learning_rate})
    stage = PhotometricStage(expression_space(model, 0.5, 1.0), settings, FITTING_WEIGHTS)
    zeros = neutral_coefficients(model, 3)
    start = replace(known, identity=zeros.identity, lighting=zeros.lighting, albedo=zeros.albedo)
    return stage.fit(photos, start, zeros, **arguments)


def test_pixels_of_a_person_give_one_identity_and_one_albedo_nearer_to_the_truth(person):
    found = fit_pixels(person, learning_rate=0.2, one_person=True).coefficients
    alone = fit_pixels(person, learning_rate=0.2).coefficients
    for name in ("identity", "albedo"):
        values = getattr(found, name)
        assert (values == values[0]).all(), name
    for name in ("lighting", "expression", "rotation"):
        assert (getattr(found, name)[0] != getattr(found, name)[1]).any(), name
    known = person[1]
    assert (found.identity - known.identity).norm() < (alone.identity - known.identity).norm()
    assert (found.albedo - known.albedo).norm() < (alone.albedo - known.albedo).norm()


def test_photos_rendered_in_parts_change_nothing_but_rounding(person):
    whole = fit_pixels(person, one_person=True)
    parts = fit_pixels(person, one_person=True, at_a_time=2)
    torch.testing.assert_close(parts.coefficients.identity, whole.coefficients.identity, atol=5e-3, rtol=0)
    assert parts.history["photometric"].shape == whole.history["photometric"].shape == (20, 3)
    assert parts.photometric_error.shape == (3,)


def test_one_photo_of_a_person_is_fitted_as_any_photo(person):
    model, known, photos = person
    first, one = slice(0, 1), slice(0, 1)
    stage = PhotometricStage(expression_space(model, 0.5, 1.0), QUICK, FITTING_WEIGHTS)
    zeros = neutral_coefficients(model, 1)
    joint = stage.fit(photos.select(first), known.select(one), zeros, one_person=True).coefficients
    alone = stage.fit(photos.select(first), known.select(one), zeros).coefficients
    torch.testing.assert_close(joint.identity, alone.identity, atol=0.02, rtol=0)
