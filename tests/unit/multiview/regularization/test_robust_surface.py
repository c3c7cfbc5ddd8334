"""Bending of texels against sums by hand, and surfaces through matches with outliers and holes."""

from dataclasses import replace

import numpy as np
import pytest

from facemill.multiview.regularization.bending import TexelBending
from facemill.multiview.regularization.classical import classical_surface
from facemill.multiview.regularization.robust_surface import robust_surface
from facemill.multiview.regularization.settings import SurfaceSettings
from unit.multiview.regularization.sheet_toys import UP, sheet

LOOSE = SurfaceSettings(smoothness=3.0, outlier=0.15, pull=1e-9)


def uneven_sheet():
    """3 x 4 texels, columns at 0, 1, 3, 6 mm, rows at 0, -2, -3 mm, without the last one."""
    columns, rows = np.array([0.0, 1, 3, 6]), np.array([0.0, -2, -3])
    position = np.stack([*np.meshgrid(columns, rows), np.zeros((3, 4))], axis=-1)
    mask = np.ones((3, 4), dtype=bool)
    mask[2, 3] = False
    return position, np.broadcast_to(UP, position.shape), mask


def test_energy_is_the_sum_by_hand():
    position, normal, mask = uneven_sheet()
    d = np.array([[1.0, 2, 4, 3], [0, 1, 5, 2], [7, 3, 1, 9]])
    bending = TexelBending(position, normal, mask)
    # sides of texels: mean of the edges they have
    wide = np.array([[1, 1.5, 2.5, 3], [1, 1.5, 2.5, 3], [1, 1.5, 2, 2]])
    high = np.array([[2.0] * 4, [1.5, 1.5, 1.5, 2], [1.0] * 4])
    high[2, 3] = 1.5
    total = 0.0
    for row, columns in ((0, (1, 2)), (1, (1, 2)), (2, (1,))):
        for column in columns:
            left, right = ((1, 2), (2, 3))[column - 1]
            slope = (d[row, column + 1] - d[row, column]) / right - (
                d[row, column] - d[row, column - 1]
            ) / left
            total += (2 * slope / (left + right)) ** 2 * (left + right) / 2 * high[row, column]
    for column in range(3):
        slope = (d[2, column] - d[1, column]) / 1 - (d[1, column] - d[0, column]) / 2
        total += (2 * slope / 3) ** 2 * 1.5 * wide[1, column]
    for row, column in ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1)):
        h, v = (1, 2, 3)[column], (2, 1)[row]
        twist = d[row + 1, column + 1] - d[row + 1, column] - d[row, column + 1] + d[row, column]
        total += 2 * (twist / (h * v)) ** 2 * h * v
    flat = bending.flat(d)
    assert flat @ bending.energy() @ flat == pytest.approx(total, rel=1e-12)
    assert np.allclose(bending.area, (wide * high)[mask])


def test_planes_cost_nothing_up_to_the_edge_of_an_irregular_mask():
    grid = sheet()
    mask = grid.mask & ~(np.hypot(*(np.indices(grid.mask.shape) - 12)) < 5)
    bending = TexelBending(grid.position, grid.normal, mask)
    plane = bending.flat(0.3 + 0.02 * grid.position[..., 0] - 0.05 * grid.position[..., 1])
    assert np.abs(bending.rows @ plane).max() < 1e-12


def test_no_derivative_reaches_over_a_gap_or_a_fold():
    position, normal, mask = uneven_sheet()
    step = np.array([[0.0, 0, 9, 9]] * 3)
    far = position + np.array([200.0, 0, 0]) * (step[..., None] > 0)
    folded = np.where(step[..., None] > 0, -normal, normal)
    for place, facing in ((far, normal), (position, folded)):
        bending = TexelBending(place, facing, mask)
        assert np.abs(bending.rows @ bending.flat(step)).max() < 1e-12


def test_a_plane_comes_back_through_outliers():
    grid = sheet()
    random = np.random.default_rng(3)
    plane = 0.2 + 0.01 * grid.position[..., 0] + 0.02 * grid.position[..., 1]
    matched = np.where(random.random(plane.shape) < 0.25, random.uniform(-2, 2, plane.shape), plane)
    bending = TexelBending(grid.position, grid.normal, grid.mask)
    found = robust_surface(bending, matched, np.ones_like(plane), grid.deviation, LOOSE)
    error = np.abs(found.displacement - plane)[grid.mask]
    assert np.median(error) < 2e-3 and error.max() < 0.06
    wrong = np.abs(matched - plane) > 0.3
    assert not found.kept[wrong].any() and found.kept[grid.mask & (matched == plane)].all()
    assert np.isnan(found.displacement[~grid.mask]).all() and not found.confidence[~grid.mask].any()


def test_a_bowl_is_filled_smoothly_and_trusted_less():
    grid = sheet(32, 32, (0.7, 0.7))
    x, y = grid.position[..., 0] - 11, grid.position[..., 1] + 11
    bowl = 0.003 * (x**2 + y**2) - 0.1
    hole = np.hypot(x, y) < 4
    matched = np.where(hole, np.nan, bowl)
    bending = TexelBending(grid.position, grid.normal, grid.mask)
    found = robust_surface(bending, matched, np.ones_like(bowl), grid.deviation, LOOSE)
    assert np.abs(found.displacement - bowl)[grid.mask].max() < 0.01
    assert not found.kept[hole].any()
    along = found.confidence[15, 16:26]
    assert along[0] < 0.02 and along[-1] > 0.98 and (np.diff(along) >= 0).all()


def test_smoothness_is_the_wave_that_is_halved():
    grid = sheet(8, 121, (0.5, 0.1))
    wave = 0.1 * np.cos(2 * np.pi * grid.position[..., 0] / 2.0)
    bending = TexelBending(grid.position, grid.normal, grid.mask)
    settings = SurfaceSettings(smoothness=2.0, pull=1e-9, outlier=50.0)
    found = robust_surface(bending, wave, np.ones_like(wave), grid.deviation, settings)
    middle = slice(40, 80)
    assert np.ptp(found.displacement[4, middle]) / np.ptp(wave[4, middle]) == pytest.approx(0.5, abs=0.02)


def test_nothing_moves_without_matches_and_doubtful_ones_move_less_on_a_good_base():
    grid = sheet()
    bending = TexelBending(grid.position, grid.normal, grid.mask)
    nothing = robust_surface(
        bending, np.full(grid.mask.shape, np.nan), np.zeros(grid.mask.shape), grid.deviation, LOOSE
    )
    assert not nothing.displacement[grid.mask].any() and not nothing.confidence.any()
    shifted = np.full(grid.mask.shape, 0.1)
    weak = np.full(grid.mask.shape, 0.02)
    settings = SurfaceSettings(outlier=50.0, pull=0.02)  # so that the match's own weight is 1
    half = robust_surface(bending, shifted, weak, grid.deviation, settings)
    assert np.allclose(half.displacement[grid.mask], 0.05, atol=1e-3)
    good = robust_surface(bending, shifted, weak, grid.deviation / 2, settings)
    assert np.allclose(good.displacement[grid.mask], 0.02, atol=1e-3)


def test_a_mask_without_texels_is_refused():
    grid = sheet()
    with pytest.raises(ValueError, match="at least one texel"):
        TexelBending(grid.position, grid.normal, np.zeros_like(grid.mask))


def test_edges_of_the_base_mesh_do_not_show():
    """Matches lie on a plane; the base mesh has a ridge every 6 texels, and half of it was not matched."""
    grid = sheet(32, 32, (0.7, 0.7))
    ridges = 0.05 * np.abs(np.arange(32) % 6 - 3.0)[None] * np.ones((32, 1))
    grid = replace(grid, rounding=-ridges.astype(np.float32))
    matched = np.where(np.arange(32)[:, None] < 16, 0.1 - ridges, np.nan)
    found = classical_surface(grid, matched, np.ones_like(ridges), LOOSE)
    above = (found.displacement + ridges)[grid.mask]
    assert np.abs(above - 0.1).max() < 0.01
    flat = classical_surface(replace(grid, rounding=0 * grid.rounding), matched, np.ones_like(ridges), LOOSE)
    assert np.ptp((flat.displacement + ridges)[grid.mask]) > 0.05
