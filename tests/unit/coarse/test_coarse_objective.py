"""The sum of the losses: weights, terms that are not computed, photos that do not mix."""

from dataclasses import replace

import pytest
import torch

from facemill.coarse.losses.objective import CoarsePrediction, CoarseTarget, coarse_objective
from facemill.coarse.settings import CoarseWeights
from facemill.coarse.training_settings import HybridWeights

float64 = torch.float64


def random(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=float64)


def perfect() -> tuple[CoarsePrediction, CoarseTarget]:
    """A mean face with flat skin in white light that matches its photo."""
    photo, landmarks = random(2, 4, 4, 3), random(2, 68, 2)
    zero = torch.zeros(2, 5, dtype=float64)
    prediction = CoarsePrediction(
        photo, torch.ones(2, 4, 4), landmarks, zero, zero, zero, torch.zeros(2, 27, dtype=float64),
        torch.full((2, 6, 3), 0.5, dtype=float64),
    )  # fmt: skip
    return prediction, CoarseTarget(photo, torch.ones(2, 4, 4), landmarks)


def test_a_perfect_prediction_costs_nothing():
    assert coarse_objective(*perfect(), CoarseWeights()).total.tolist() == [0, 0]


def test_published_weights_and_one_known_error_each():
    prediction, target = perfect()
    landmarks = prediction.landmarks.clone()
    landmarks[0, 0, 0] += 17.0  # 289 / 68 = 4.25 square pixels
    identity = torch.zeros(2, 5, dtype=float64)
    identity[1, 2] = 2.0
    skin = prediction.skin_albedo.clone()
    skin[1, :3, 0] += 0.2  # variance 0.01
    found = coarse_objective(
        replace(
            prediction,
            landmarks=landmarks,
            identity=identity,
            expression=identity,
            albedo=identity,
            skin_albedo=skin,
        ),
        target,
        CoarseWeights(),
    )
    assert found.total[0].item() == pytest.approx(1.6e-3 * 4.25)
    assert found.total[1].item() == pytest.approx(4 * 3e-4 * (1.0 + 0.8 + 1.7e-2) + 5.0 * 0.01)
    assert found.terms["landmark"].tolist() == pytest.approx([4.25, 0])  # unweighted
    assert set(found.terms) == set(CoarseWeights.model_fields) - {"landmark_emphasis"}


def test_the_perceptual_term_needs_features_and_has_its_published_weight():
    prediction, target = perfect()
    features = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=float64)
    photo = torch.tensor([[1.0, 0.0], [3.0, 0.0]], dtype=float64)  # the same person, and a right angle
    seen = (replace(prediction, features=features), replace(target, features=photo))
    found = coarse_objective(*seen, HybridWeights())
    assert found.total.tolist() == pytest.approx([0, 0.2])
    assert found.terms["perceptual"].tolist() == [0, 1]
    assert "perceptual" not in coarse_objective(prediction, target, HybridWeights()).terms
    assert "perceptual" not in coarse_objective(*seen, CoarseWeights()).terms


def test_terms_of_weight_zero_are_not_computed():
    prediction, target = perfect()
    broken = replace(prediction, skin_albedo=torch.full((2, 6, 3), torch.nan, dtype=float64))
    assert coarse_objective(broken, target, CoarseWeights()).total.isnan().all()
    found = coarse_objective(broken, target, CoarseWeights(reflectance=0.0))
    assert found.total.tolist() == [0, 0]
    assert "reflectance" not in found.terms


def test_pixels_outside_the_region_and_distrusted_landmarks_do_not_count():
    prediction, target = perfect()
    rendered, region = prediction.rendered.clone(), torch.ones(2, 4, 4, dtype=float64)
    rendered[:, 0] += 0.5
    region[:, 0] = 0
    landmarks, confidence = prediction.landmarks.clone(), torch.ones(2, 68, dtype=float64)
    landmarks[:, 20] += 50
    confidence[:, 20] = 0
    off = replace(prediction, rendered=rendered, region=region, landmarks=landmarks)
    assert coarse_objective(off, replace(target, confidence=confidence), CoarseWeights()).total.tolist() == [
        0,
        0,
    ]
    assert (coarse_objective(off, target, CoarseWeights()).total > 0).all()


def test_photos_do_not_mix():
    prediction, target = perfect()
    other = replace(
        prediction, lighting=torch.stack((torch.zeros(27), torch.arange(27.0))).double().requires_grad_()
    )
    total = coarse_objective(other, target, CoarseWeights()).total
    (gradient,) = torch.autograd.grad(total[0], other.lighting)
    assert total[0] == 0
    assert gradient[1].abs().max() == 0
