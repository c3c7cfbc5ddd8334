"""Each loss against numbers worked out by hand, its gradient, and its value for a perfect prediction."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from facemill.coarse.losses.landmark import landmark_distance, landmark_error, landmark_weights
from facemill.coarse.losses.photometric import photometric_distance, pixel_confidence
from facemill.coarse.losses.regularisation import lighting_colour, mahalanobis, reflectance_variance

float64 = torch.float64


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=float64)


def test_landmark_weights_emphasise_nose_ridge_and_inner_mouth():
    weights = landmark_weights(20.0)
    assert weights.nonzero().shape[0] == 68
    assert (weights == 20).nonzero()[:, 0].tolist() == [28, 29, 30, *range(60, 68)]
    assert weights.sum() == 57 + 11 * 20


def test_landmark_distance_is_the_weighted_mean_over_68_points():
    detected = random(2, 68, 2)
    predicted = detected.clone()
    predicted[0, 30] += torch.tensor([3.0, 4.0])  # 25 square pixels, weight 20
    predicted[0, 5] += torch.tensor([0.0, 2.0])  # 4 square pixels, weight 1
    distance = landmark_distance(predicted, detected, landmark_weights(20.0, float64))
    torch.testing.assert_close(distance, torch.tensor([504 / 68, 0.0], dtype=float64))


def test_landmark_distance_takes_weights_per_photo():
    detected, predicted = torch.zeros(2, 68, 2), torch.ones(2, 68, 2)
    weights = torch.stack((torch.ones(68), torch.full((68,), 0.5)))
    assert landmark_distance(predicted, detected, weights).tolist() == [2.0, 1.0]


def test_landmark_error_leaves_out_the_jaw_and_divides_by_the_eye_distance():
    detected = torch.zeros(1, 68, 2, dtype=float64)
    detected[0, 36], detected[0, 45] = torch.tensor([10.0, 20.0]), torch.tensor([40.0, 60.0])  # 50 px apart
    predicted = detected.clone()
    predicted[0, :17] += 100
    predicted[0, 40] += torch.tensor([6.0, 8.0])
    assert landmark_error(predicted, detected).item() == pytest.approx(10 / 51 / 50)


def test_landmark_error_is_nan_when_the_eyes_coincide():
    assert landmark_error(torch.ones(1, 68, 2), torch.zeros(1, 68, 2)).isnan().all()


def test_photometric_distance_is_the_attended_mean_of_euclidean_colour_distances():
    photo = torch.zeros(1, 2, 2, 3, dtype=float64)
    rendered = photo.clone()
    rendered[0, 0, 0] = torch.tensor([0.3, 0.0, 0.4], dtype=float64)  # 0.5
    rendered[0, 0, 1] = torch.tensor([0.0, 0.1, 0.0], dtype=float64)  # 0.1
    rendered[0, 1] = 9.0  # not attended to
    attention = torch.tensor([[[1.0, 0.5], [0.0, 0.0]]], dtype=float64)
    # |r| stands for sqrt(|r|^2 + 1e-6) - 1e-3, and the divisor is max(1.5, 1).
    smooth = [math.sqrt(d * d + 1e-6) - 1e-3 for d in (0.5, 0.1)]
    expected = (smooth[0] + 0.5 * smooth[1]) / 1.5
    assert photometric_distance(rendered, photo, attention).item() == pytest.approx(expected, abs=1e-12)
    assert expected == pytest.approx(0.55 / 1.5, abs=1.1e-3)


def test_photometric_distance_of_a_perfect_render_and_of_an_empty_mask_is_zero():
    photo = random(2, 4, 5, 3)
    assert photometric_distance(photo, photo, torch.ones(2, 4, 5)).abs().max() == 0
    assert photometric_distance(photo, 1 - photo, torch.zeros(2, 4, 5)).abs().max() == 0


def test_pixel_confidence_is_a_quarter_at_scale_medians():
    photo = torch.zeros(1, 1, 5, 3)
    rendered = photo.clone()
    rendered[0, 0, :, 0] = torch.tensor([0.1, 0.1, 0.2, 9.0, 9.0])
    attention = torch.ones(1, 1, 5)
    attention[0, 0, 3:] = 0.0  # far off, but no part of the median, 0.1
    confidence = pixel_confidence(rendered, photo, attention, scale=2.0)[0, 0]
    torch.testing.assert_close(confidence[2], torch.tensor(0.25))
    torch.testing.assert_close(confidence[0], torch.tensor(1.25**-2))
    assert confidence[4] < 1e-3


def test_pixel_confidence_without_an_attended_pixel_stays_finite():
    assert (
        pixel_confidence(torch.ones(1, 2, 2, 3), torch.zeros(1, 2, 2, 3), torch.zeros(1, 2, 2), 2.0)
        .isfinite()
        .all()
    )


def test_mahalanobis_is_the_sum_of_squares():
    assert mahalanobis(torch.tensor([[1.0, -2.0, 3.0], [0.0, 0.0, 0.0]])).tolist() == [14.0, 0.0]


def test_reflectance_variance_of_two_vertices():
    albedo = torch.tensor([[[0.2, 0.5, 0.1], [0.6, 0.5, 0.3]]], dtype=float64)  # means 0.4, 0.5, 0.2
    assert reflectance_variance(albedo).item() == pytest.approx(0.04 + 0.0 + 0.01)


def test_reflectance_variance_of_flat_or_no_skin_is_zero():
    assert reflectance_variance(torch.full((1, 7, 3), 0.25)).item() == 0
    assert reflectance_variance(torch.zeros(2, 0, 3)).tolist() == [0, 0]


def test_lighting_colour_is_zero_for_white_light_and_known_for_one_red_band():
    white = random(1, 1, 9).expand(1, 3, 9).reshape(1, 27)
    assert lighting_colour(white).item() == pytest.approx(0, abs=1e-30)
    red = torch.zeros(1, 27, dtype=float64)
    red[0, 4] = 0.3  # mean over the colours 0.1: squares 0.04 + 0.01 + 0.01, over 27
    assert lighting_colour(red).item() == pytest.approx(0.06 / 27)


def test_gradients():
    photo, attention = random(2, 3, 4, 3, seed=1), random(2, 3, 4, seed=2)
    points = 10 * random(2, 68, 2, seed=3)
    weights = landmark_weights(20.0, float64)
    for function, argument in (
        (lambda x: photometric_distance(x, photo, attention), random(2, 3, 4, 3)),
        (lambda x: landmark_distance(x, points, weights), 10 * random(2, 68, 2)),
        (mahalanobis, random(2, 6)),
        (reflectance_variance, random(2, 5, 3)),
        (lighting_colour, random(2, 27)),
    ):
        assert gradcheck(function, argument.requires_grad_())
