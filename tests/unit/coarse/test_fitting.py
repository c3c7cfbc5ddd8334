"""Both stages together: independence of the batch, a network's estimate as the start, errors."""

from dataclasses import fields

import pytest
import torch

from facemill.coarse.fitting import Fitter, fit
from facemill.coarse.settings import (
    FITTING_WEIGHTS,
    CoarseSettings,
    FittingLevel,
    LandmarkStageSettings,
    PhotometricStageSettings,
)
from facemill.geometry.camera import deep3d_crop_camera
from facemill.models.coefficients import Coefficients
from facemill.rendering.rasterize import interpolate, rasterize

QUICK = CoarseSettings(
    camera_distance=1000.0,  # that of the renders
    photometric=PhotometricStageSettings(
        levels=(FittingLevel(reduction=4, steps=15), FittingLevel(reduction=2, steps=5))
    ),
)


@pytest.fixture(scope="module")
def model(toy_model):
    return toy_model.to(dtype=torch.float32)


@pytest.fixture(scope="module")
def known(model):
    """Coefficients, crops, landmarks and masks of three heads that turn from -30 to 30 degrees."""
    draw = torch.Generator().manual_seed(33)

    def normal(width, scale):
        return scale * torch.randn(3, width, generator=draw)

    rotation = normal(3, 0.05)
    rotation[:, 1] = torch.tensor([-0.5, 0.0, 0.5])
    truth = Coefficients(
        normal(6, 0.8), normal(4, 0.5), normal(3, 0.8), rotation, normal(3, 3), normal(27, 0.1)
    )
    decoder = Fitter(model, QUICK).photometric_stage.decoder
    decoded = decoder(truth)
    triangles = decoder.model.topology.triangles
    fragments = rasterize(decoded.vertices, triangles, deep3d_crop_camera().intrinsics, (224, 224), True)
    crops = interpolate(fragments, fragments.barycentrics, decoded.colors, triangles)
    return truth, crops, decoded.landmarks.double(), fragments.mask.float()


def test_faces_are_found_from_the_mean_face(model, known):
    truth, crops, landmarks, masks = known
    found = fit(crops, landmarks, masks, model, QUICK)
    assert (found.landmark_error < 0.02).all()
    assert (found.photometric_error < 0.08).all()
    error = (found.coefficients.identity - truth.identity).norm(dim=1)
    assert (error < 0.7 * truth.identity.norm(dim=1)).all()


def test_a_face_does_not_depend_on_its_batch(model, known):
    _, crops, landmarks, masks = known
    fitter = Fitter(model, QUICK)
    together = fitter(crops, landmarks, masks)
    for face in range(3):
        rows = slice(face, face + 1)
        alone = fitter(crops[rows], landmarks[rows], masks[rows])
        for field in fields(Coefficients):
            difference = (
                getattr(together.coefficients, field.name)[face] - getattr(alone.coefficients, field.name)[0]
            )
            assert difference.abs().max() < 1e-4, field.name


def test_a_broken_face_spoils_no_other(model, known):
    _, crops, landmarks, masks = known
    fitter = Fitter(model, QUICK)
    broken = landmarks.clone()
    broken[1] = torch.nan
    clean, beside = fitter(crops, landmarks, masks), fitter(crops, broken, masks)
    assert not beside.landmark_error[1].isfinite()
    for face in (0, 2):
        torch.testing.assert_close(
            beside.coefficients.identity[face], clean.coefficients.identity[face], atol=1e-4, rtol=0
        )


def test_without_evidence_the_estimate_given_stays(model, known):
    truth, crops, landmarks, masks = known
    blind = QUICK.model_copy(
        update={
            "landmarks": LandmarkStageSettings(noise=1e3, mouth_noise=1e3, contour_noise=1e3),
            "weights": FITTING_WEIGHTS.model_copy(update={"landmark": 1e-7}),
        }
    )
    nothing = torch.zeros_like(masks)
    kept = fit(crops, landmarks, nothing, model, blind, initial=truth).coefficients
    mean = fit(crops, landmarks, nothing, model, blind).coefficients
    assert (kept.identity - truth.identity).abs().max() < 0.1
    assert mean.identity.abs().max() < 0.1


@pytest.mark.parametrize(
    ("index", "name"), [(0, r"crops.*\(3, 224, 224, 3\)"), (1, "landmarks"), (2, "masks")]
)
def test_wrong_shapes_are_named(model, known, index, name):
    arguments = [value.clone() for value in known[1:]]
    arguments[index] = arguments[index][:, :-1]
    with pytest.raises(ValueError, match=name):
        fit(*arguments, model, QUICK)
