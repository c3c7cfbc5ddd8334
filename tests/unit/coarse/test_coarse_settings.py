"""The settings of the coarse stage say no to what cannot work."""

import pytest
from pydantic import ValidationError

from facemill.coarse.settings import CoarseSettings, CoarseWeights, FittingLevel


def test_published_weights():
    """Deep3DFaceRecon's options: w_color 1.92, w_lm 1.6e-3, w_reg 3e-4 x (1.0, 0.8, 1.7e-2), 5.0, 10.0."""
    weights = CoarseWeights()
    assert (weights.photometric, weights.landmark, weights.landmark_emphasis) == (1.92, 1.6e-3, 20)
    assert (weights.identity, weights.reflectance, weights.lighting) == (3e-4, 5.0, 10.0)
    assert (weights.expression, weights.albedo) == pytest.approx((3e-4 * 0.8, 3e-4 * 1.7e-2))


def test_plain_values_make_the_same_settings():
    settings = CoarseSettings()
    assert CoarseSettings(**settings.model_dump(mode="json")) == settings


def test_reduction_must_divide_the_crop():
    with pytest.raises(ValidationError, match="divisor of 224"):
        FittingLevel(reduction=3, steps=1)


def test_unknown_keys_are_refused():
    with pytest.raises(ValidationError, match="photometrik"):
        CoarseSettings(photometrik={})
