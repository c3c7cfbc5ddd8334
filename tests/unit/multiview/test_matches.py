"""Matches of views against their cameras, and gains from the colours that they share."""

import numpy as np
import pytest
import torch

from facemill.geometry.camera import project
from facemill.multiview.camera_checks import flipped_convention, looking_share, nearest_to_axes
from facemill.multiview.gains import estimate_gains
from facemill.multiview.matches import (
    PairMatches,
    epipolar_errors,
    mirrored_matches,
    neighbouring_pairs,
)
from unit.multiview.captured_ball import camera_at

POINTS = torch.from_numpy(np.random.default_rng(2).uniform(-50, 50, (30, 3)))
ONE, OTHER = camera_at(0, 2), camera_at(20, -3)


def seen(camera):
    return project(POINTS, camera).pixels.numpy()


def test_true_matches_have_no_error_and_moved_ones_theirs():
    match = PairMatches(0, 1, seen(ONE), seen(OTHER))
    assert epipolar_errors(match, ONE, OTHER).max() < 1e-9
    away = match._replace(second_pixels=match.second_pixels + [0.0, 3.0])
    # Across the nearly horizontal epipolar lines 3 px are shared by both pictures: 3 / sqrt(2).
    assert np.median(epipolar_errors(away, ONE, OTHER)) == pytest.approx(3 / np.sqrt(2), rel=0.1)


def test_matches_behind_a_camera_or_out_of_reach_are_impossible():
    match = PairMatches(0, 1, seen(ONE), seen(OTHER))
    assert np.isinf(epipolar_errors(match, ONE, OTHER, reach=(0.0, 500.0))).all()
    assert np.isinf(epipolar_errors(match, ONE, OTHER, reach=(2000.0, np.inf))).all()
    assert np.isfinite(epipolar_errors(match, ONE, OTHER, reach=(700.0, 1100.0))).all()


def test_mirroring_exchanges_left_and_right_of_each_picture():
    match = mirrored_matches(PairMatches(0, 1, np.array([[0.0, 5.0]]), np.array([[9.0, 6.0]])), (100, 300))
    assert match.first_pixels.tolist() == [[99.0, 5.0]] and match.second_pixels.tolist() == [[290.0, 6.0]]


def test_sixty_views_are_matched_with_their_neighbours_only():
    cameras = [camera_at(azimuth, height) for azimuth in np.linspace(-90, 90, 30) for height in (-15, 15)]
    pairs = neighbouring_pairs(cameras)
    assert len(pairs) <= 60 * 4 and {view for pair in pairs for view in pair} == set(range(60))
    assert neighbouring_pairs([camera_at(0), camera_at(90)]) == []


def test_axes_meet_where_the_cameras_look():
    cameras = [camera_at(azimuth, 10) for azimuth in (-60, 0, 50)]
    centres = torch.stack([camera.centre for camera in cameras])
    axes = torch.stack([camera.rotation[2] for camera in cameras])
    assert nearest_to_axes(centres, axes).abs().max() < 1e-4
    assert looking_share(cameras) == 1.0 and flipped_convention(cameras) is None
    assert flipped_convention(cameras[:2]) is None


def test_gains_are_exact_where_colours_are():
    true = np.array([[1.1, 0.9, 1.0], [0.95, 1.05, 1.0], [1.0, 1.0, 0.8]])
    true /= np.exp(np.log(true).mean(axis=0))
    flat = np.full((3, 40, 40, 3), 100.0)
    pictures = [np.rint(one / gain).astype(np.uint8) for one, gain in zip(flat, true, strict=True)]
    spots = np.random.default_rng(0).uniform(5, 35, (30, 2))
    matches = [PairMatches(a, b, spots, spots) for a, b in ((0, 1), (1, 2))]
    assert np.allclose(estimate_gains(pictures, matches), true, atol=0.01)
    # A highlight over a fifth of the spots does not matter.
    pictures[1][:5, :] = 230
    assert np.allclose(estimate_gains(pictures, matches), true, atol=0.03)
    assert np.array_equal(estimate_gains(pictures, []), np.ones((3, 3)))
