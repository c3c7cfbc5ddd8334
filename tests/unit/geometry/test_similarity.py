"""Umeyama's fit: known transforms, weights, mirror images, degenerate point sets."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from facemill.geometry.rotation import matrix_from_axis_angle
from facemill.geometry.similarity import Similarity, fit_similarity

POINTS = np.array([[0.0, 0, 0], [3, 0, 1], [0, 5, 2], [-1, 2, 7], [4, -2, 1]])


def rotation(*axis_angle: float) -> np.ndarray:
    return matrix_from_axis_angle(torch.tensor(axis_angle, dtype=torch.float64)).numpy()


def test_quarter_turn_by_hand() -> None:
    found = fit_similarity([[0, 0], [1, 0], [0, 2]], [[5, 5], [5, 7], [1, 5]])
    np.testing.assert_allclose(found.matrix, [[0, -2, 5], [2, 0, 5], [0, 0, 1]], atol=1e-12)


@given(
    st.tuples(*[st.floats(-1.7, 1.7)] * 3),
    st.floats(0.01, 100),
    st.tuples(*[st.floats(-1e3, 1e3)] * 3),
    st.booleans(),
)
def test_recovers_a_drawn_similarity(
    axis_angle: tuple[float, ...], scale: float, shift: tuple[float, ...], with_scale: bool
) -> None:
    drawn = Similarity(scale if with_scale else 1.0, rotation(*axis_angle), np.array(shift))
    found = fit_similarity(POINTS, drawn.apply(POINTS), with_scale=with_scale)
    np.testing.assert_allclose(found.apply(POINTS), drawn.apply(POINTS), rtol=0, atol=1e-8 * (1 + scale))
    assert found.scale == pytest.approx(drawn.scale, rel=1e-7)
    np.testing.assert_allclose(found.inverse().matrix @ found.matrix, np.eye(4), atol=1e-7)


@pytest.mark.parametrize("dimension", [2, 3])
def test_never_a_reflection(dimension: int) -> None:
    points = POINTS[:, :dimension]
    mirrored = points * np.array([-1.0, 1.0, 1.0])[:dimension]
    found = fit_similarity(points, mirrored)
    assert np.linalg.det(found.rotation) == pytest.approx(1.0)
    assert found.scale > 0
    assert np.abs(found.apply(points) - mirrored).max() > 0.5


def test_fit_is_least_squares() -> None:
    target = POINTS + np.random.default_rng(3).normal(size=POINTS.shape)
    weights = np.array([1.0, 2, 3, 4, 5])
    found = fit_similarity(POINTS, target, weights)
    least = (weights[:, None] * (found.apply(POINTS) - target) ** 2).sum()
    for step in (1e-3, -1e-3):
        for other in (
            Similarity(found.scale * (1 + step), found.rotation, found.translation),
            Similarity(found.scale, found.rotation @ rotation(step, 0, 0), found.translation),
            Similarity(found.scale, found.rotation @ rotation(0, 0, step), found.translation),
            Similarity(found.scale, found.rotation, found.translation + step),
        ):
            assert (weights[:, None] * (other.apply(POINTS) - target) ** 2).sum() > least


def test_weight_two_is_a_point_twice_and_weight_zero_is_no_point() -> None:
    target = POINTS @ rotation(0.1, 0.2, 0.3).T + np.arange(15).reshape(5, 3) % 4
    weighted = fit_similarity(POINTS, target, [1, 2, 1, 1, 0])
    repeated = fit_similarity(np.vstack([POINTS[:4], POINTS[1]]), np.vstack([target[:4], target[1]]))
    np.testing.assert_allclose(weighted.matrix, repeated.matrix, atol=1e-12)
    unknown = target.copy()
    unknown[4] = np.nan
    np.testing.assert_allclose(fit_similarity(POINTS, unknown, [1, 2, 1, 1, 0]).matrix, weighted.matrix)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((4, 3)) + 7.3, "on one line"),
        (np.outer(np.arange(4), [1.0, 2.0, 3.0]) + 900, "on one line"),
        (np.zeros((4, 2)) + 7.3, "in one place"),
    ],
)
def test_degenerate_points_are_named(source: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_similarity(source, np.random.default_rng(0).normal(size=source.shape))
    with pytest.raises(ValueError, match=message):
        fit_similarity(np.random.default_rng(0).normal(size=source.shape), source)


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"not \(5, 3\) and \(4, 3\)"):
        fit_similarity(POINTS, POINTS[:4])
    with pytest.raises(ValueError, match="weights must be 5 finite numbers >= 0"):
        fit_similarity(POINTS, POINTS, [1, 1, -1, 1, 1])
    with pytest.raises(ValueError, match="at least 2 points"):
        fit_similarity(POINTS, POINTS, [1, 0, 0, 0, 0])
    with pytest.raises(ValueError, match="must be finite"):
        fit_similarity(POINTS, np.where(POINTS == 5, np.inf, POINTS))
