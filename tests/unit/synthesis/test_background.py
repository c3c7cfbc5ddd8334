"""Backgrounds: a picture of any size, the same for the same seed."""

import numpy as np
import pytest

from facemill.synthesis import background
from facemill.synthesis.background import random_background


@pytest.mark.parametrize("kind", background.KINDS)
@pytest.mark.parametrize("size", [(224, 224), (90, 160), (33, 20)])
def test_every_kind_fills_any_size(kind, size, monkeypatch):
    monkeypatch.setattr(background, "SHARES", [float(name == kind) for name in background.KINDS])
    picture = random_background(np.random.default_rng(3), size)
    assert picture.shape == (*size, 3) and picture.dtype == np.float32
    assert picture.min() >= 0 and picture.max() <= 1 and np.ptp(picture) > 0.005


def test_the_seed_decides():
    first, again, other = (random_background(np.random.default_rng(seed), (64, 48)) for seed in (1, 1, 2))
    assert (first == again).all() and not np.allclose(first, other, atol=0.05)
