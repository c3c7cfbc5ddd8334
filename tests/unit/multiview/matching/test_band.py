"""Maxima over a band of scores, levels of texels, and visibility of displaced texels."""

import numpy as np
import pytest
import torch

from facemill.geometry.camera import Camera
from facemill.multiview.matching.band import Band, localise, matched_surface
from facemill.multiview.matching.levels import filled, median_filtered, next_centre, spread, thinned
from facemill.multiview.matching.visibility import displaced_visibility, grid_normals, surroundings_of
from unit.multiview.matching.grid_toys import AWAY, plane_grid, toy_topology


def test_parabola_gives_the_vertex_of_a_parabola():
    places = np.arange(5.0)
    scores = 0.9 - 0.1 * (places - 2.3) ** 2  # its vertex lies at 2.3, 0.9 high
    peaks = localise(scores[None, None])
    assert peaks.index[0, 0] == pytest.approx(2.3, abs=1e-5)
    assert peaks.height[0, 0] == pytest.approx(0.9, abs=1e-5)
    assert peaks.inside[0, 0]


@pytest.mark.parametrize(
    ("scores", "index", "inside"),
    [
        ([0.9, 0.5, 0.1], 0.0, False),  # first sample
        ([0.1, 0.5, 0.9], 2.0, False),  # last sample
        ([np.nan, 0.9, 0.5], 1.0, False),  # beside what was not sampled
        ([0.4, 0.4, 0.4], 0.0, False),  # flat
        ([0.2, 0.6, 0.2], 1.0, True),
    ],
)
def test_maxima_without_two_neighbours_stay_on_the_sample(scores, index, inside):
    peaks = localise(np.array(scores)[None, None])
    assert peaks.index[0, 0] == index and peaks.inside[0, 0] == inside


def test_nothing_sampled_is_no_maximum():
    peaks = localise(np.full((1, 1, 4), np.nan))
    assert np.isnan(peaks.index[0, 0]) and peaks.height[0, 0] == 0


def test_chosen_sample_counts_instead_of_the_best():
    scores = np.array([[[0.9, 0.2, 0.1, 0.5, 0.3]]])
    assert localise(scores).index[0, 0] == 0
    found = localise(scores, np.array([[3]])).index[0, 0]
    assert found == pytest.approx(3 + (0.1 - 0.3) / (2 * (0.1 - 1.0 + 0.3)))


def test_band_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="scores"):
        Band(np.zeros((2, 3), np.float32), 0.1, np.zeros((3, 2, 5), np.float32))
    with pytest.raises(ValueError, match="step"):
        Band(np.zeros((2, 3), np.float32), 0.0, np.zeros((2, 3, 5), np.float32))


def test_matched_surface_holds_the_band_of_the_mask_alone():
    grid = plane_grid()
    shape = grid.mask.shape
    scores = np.broadcast_to(np.array([0.2, 0.8, 0.4], np.float32), (*shape, 3)).copy()
    row, column = np.argwhere(grid.mask)[7]
    scores[row, column] = np.nan
    band = Band(np.full(shape, -1.5, np.float32), 0.5, scores)
    surface = matched_surface(grid, band, np.full(shape, 0.7), np.full(shape, 2), 123)
    known = grid.mask.copy()
    known[row, column] = False
    offset = (0.2 - 0.4) / (2 * (0.2 - 1.6 + 0.4))
    assert np.array_equal(surface.known, known)
    assert np.allclose(surface.displacement[known], -1.5 + 0.5 * (1 + offset))
    assert np.isnan(surface.displacement[~known]).all() and (surface.confidence[~known] == 0).all()
    more = surface.more
    assert more["scores"].dtype == np.float16 and np.isnan(more["scores"][~grid.mask]).all()
    assert float(more["step"]) == 0.5 and int(more["queries"]) == 123
    assert (more["views"][known] == 2).all() and (more["views"][~known] == 0).all()


def test_thinned_and_spread_are_inverse_for_linear_maps():
    rows, columns = np.mgrid[:24, :16].astype(float)
    ramp = 0.3 * rows - 0.7 * columns
    for stride in (1, 2, 4):
        back = spread(thinned(ramp, stride), stride, ramp.shape)
        inner = slice(stride, -stride)
        assert np.allclose(back[inner, inner], ramp[inner, inner], atol=1e-5)


def test_median_drops_outliers_and_needs_evidence():
    values = np.zeros((9, 9), np.float32)
    values[4, 4] = 15.0  # an outlier as confident as the rest
    confidence = np.ones_like(values)
    mask = np.ones(values.shape, dtype=bool)
    assert median_filtered(values, confidence, mask)[4, 4] == 0
    found = median_filtered(values, 0.001 * confidence, mask)
    assert np.isnan(found).all()
    assert np.array_equal(filled(found), np.zeros_like(values))


def test_median_is_weighted_by_confidence():
    """By hand: 1, 2 and 3 with the weights 1, 1 and 3: half of 5 is passed at 3."""
    values = np.array([[1.0, 2.0, 3.0]])
    found = median_filtered(values, np.array([[1.0, 1.0, 3.0]]), np.ones((1, 3), bool), radius=1)
    assert found[0].tolist() == [1.0, 3.0, 3.0]


def test_next_centre_follows_the_surface_past_an_outlier():
    rows = np.mgrid[:24, :16][0].astype(float)
    coarse = thinned(0.1 * rows, 4)
    coarse[3, 2] += 18
    mask = np.ones(coarse.shape, bool)
    centre = next_centre(coarse, mask.astype(float), mask, 4, (24, 16), radius=1)
    assert np.abs(centre - 0.1 * rows)[6:18].max() < 0.41  # one texel of the coarse level


def camera_above(distance=500.0):
    """Looks down -z at the plane's middle from a distance; 4 pixels per millimetre at z = 0."""
    rotation = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
    shift = torch.tensor([-8.0, -12.0, distance], dtype=torch.float64)
    intrinsics = torch.tensor([[4 * distance, 0, 80.0], [0, 4 * distance, 80.0], [0, 0, 1]]).double()
    return Camera(rotation, shift, intrinsics)


def test_visibility_sees_the_face_that_something_hides_only_in_part():
    grid = plane_grid()
    plate = np.array([[4.0, -30, 20], [8, -30, 20], [8, 30, 20], [4, 30, 20]])  # over columns 4..8
    views = [(camera_above(), (160, 160))]
    still = np.zeros(grid.mask.shape)
    free = displaced_visibility(grid, still, surroundings_of(grid, AWAY, toy_topology()), views)[..., 0]
    hidden = displaced_visibility(grid, still, surroundings_of(grid, plate, toy_topology()), views)[..., 0]
    inner = np.zeros_like(grid.mask)
    inner[6:-6, 6:-6] = True  # beside the plane's border the depth map sees the background
    assert (free[inner] > 0.99).all()
    assert (hidden[inner][:, None] >= 0).all() and (hidden[6:-6, 6:8] == 0).all()
    assert (hidden[6:-6, 9:10] > 0.99).all()


def test_visibility_follows_the_displacement():
    """A wall that rises 8 mm hides what lies behind it from an oblique view."""
    grid = plane_grid(32, 32)
    away = surroundings_of(grid, AWAY, toy_topology())
    angle = np.radians(50)
    right, forward = np.array([np.cos(angle), 0, np.sin(angle)]), np.array([np.sin(angle), 0, -np.cos(angle)])
    rotation = np.stack([right, np.cross(forward, right), forward])
    centre = np.array([16.0, -16, 0]) - 500 * forward
    oblique = Camera(
        torch.from_numpy(rotation),
        torch.from_numpy(-rotation @ centre),
        torch.tensor([[2000.0, 0, 200], [0, 2000, 200], [0, 0, 1]]).double(),
    )
    views = [(oblique, (400, 400))]
    flat = displaced_visibility(grid, np.zeros((32, 32)), away, views)[..., 0]
    wall = np.zeros((32, 32))
    wall[:, 13:17] = [4.0, 8.0, 8.0, 4.0]
    risen = displaced_visibility(grid, wall, away, views)[..., 0]
    assert (flat[10:22, 10:22] > 0.6).all()
    assert (risen[10:22, 18:21] == 0).all() and (risen[10:22, 8:11] > 0.6).all()


def test_visibility_refuses_holes():
    grid = plane_grid()
    away = surroundings_of(grid, np.zeros((4, 3)), toy_topology())
    with pytest.raises(ValueError, match="finite"):
        displaced_visibility(grid, np.full(grid.mask.shape, np.nan), away, [])


def test_normals_of_a_slope():
    """z = x / 2: its normal is (-1, 0, 2) / sqrt 5, at the border too."""
    grid = plane_grid()
    points = grid.displaced(0.5 * grid.position[..., 0])
    normals = grid_normals(points, grid.mask, grid.normal)
    assert np.allclose(normals[grid.mask], np.array([-1, 0, 2]) / np.sqrt(5))
