"""The loss terms of the detail layer, by hand."""

import math

import pytest
import torch

from facemill.detail.local_mean import local_mean, sliding_sums
from facemill.detail.losses.published import (
    capped_square,
    grid_triangle_normals,
    laplacian_roughness,
    photometric_distance,
    triangle_roughness,
    uv_variation,
)
from facemill.detail.losses.shading import shading_distance
from facemill.detail.losses.supervised import (
    displacement_distance,
    known_slopes,
    laplace_surprise,
    slope_distance,
)
from facemill.detail.surface import grid_triangles

INSIDE = torch.ones(3, 4, dtype=torch.bool)


def plane(height=3, width=4, step=2.0):
    """A flat grid, rows down (-y) and columns right (x), seen from outside (+z)."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack((columns * step, -rows * step, torch.zeros(height, width)), dim=-1).double()[None]


def test_photometric_distance_is_the_mean_length_of_colour_differences():
    photo = torch.zeros(2, 1, 3, 3)
    rendered = torch.zeros(2, 1, 3, 3)
    rendered[0, 0, 0] = torch.tensor([2.0, 3.0, 6.0])  # length 7
    rendered[0, 0, 1] = torch.tensor([0.0, 4.0, 3.0])  # length 5
    rendered[:, 0, 2] = 99.0  # masked
    mask = torch.tensor([[[1.0, 1.0, 0.0]], [[0.0, 0.0, 0.0]]])
    assert photometric_distance(rendered, photo, mask) == pytest.approx([6.0, 0.0], abs=1e-3)


def test_capped_square_caps_each_number_and_adds_those_of_a_vector():
    values = torch.tensor([[[1.0, 2.0, 5.0, 9.0]]])
    mask = torch.tensor([[[1.0, 1.0, 1.0, 0.0]]])
    assert capped_square(values, mask) == pytest.approx([(1 + 4 + 10) / 3])
    vectors = torch.tensor([[[[1.0, 2.0, 3.0], [0.0, 0.0, 4.0]]]])
    assert capped_square(vectors, torch.ones(1, 1, 2)) == pytest.approx([(1 + 4 + 9 + 10) / 2])
    assert capped_square(values, torch.zeros(1, 1, 4)) == pytest.approx([0.0])


def test_laplacian_of_a_spike_by_hand():
    values = torch.zeros(1, 3, 3, 1, dtype=torch.float64)
    values[0, 1, 1] = 6.0
    inside = torch.ones(3, 3, dtype=torch.bool)
    # The middle is 6 off its neighbours' mean. The grid's edges are rows, columns and the main diagonal:
    # corners (0, 0) and (2, 2) have 3 neighbours, (0, 2) and (2, 0) have 2 and not the middle, sides have 4.
    expected = (36 + 2 * (6 / 3) ** 2 + 2 * 0.5 + 4 * (6 / 4) ** 2) / 9
    assert laplacian_roughness(values, inside, floor=0.5) == pytest.approx([expected])
    assert laplacian_roughness(values[:, :1], inside[:1], floor=0.5) == pytest.approx([0.5])


def test_neighbours_beyond_the_border_do_not_count():
    inside = torch.tensor([[True, True, False]])
    values = torch.tensor([[[[1.0], [4.0], [100.0]]]])
    assert laplacian_roughness(values, inside, floor=0.0) == pytest.approx([9.0])


def test_normals_of_a_flat_grid_point_outwards_and_are_those_of_the_mesh():
    normals = grid_triangle_normals(plane())
    for side in normals:
        assert torch.allclose(side, torch.tensor([0.0, 0, 1]).double().expand_as(side))
    bumpy = plane()
    bumpy[0, 1, 1, 2] = 0.7
    bumpy[0, 0, 2, 2] = -0.4
    grid = grid_triangles(INSIDE)
    corners = bumpy.reshape(-1, 3)[grid.texels][grid.triangles]
    mesh = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    mesh = mesh / mesh.norm(dim=1, keepdim=True)
    ours = torch.cat([side.reshape(-1, 3) for side in grid_triangle_normals(bumpy)])
    assert torch.allclose(mesh, ours)


def test_triangle_roughness_of_a_fold_by_hand():
    # Two squares, the right one tilted by 90 degrees: one pair of six triangles' three pairs differs.
    positions = plane(2, 3, 1.0)
    positions[0, :, 2] = torch.tensor([[1.0, 0.0, 1.0], [1.0, -1.0, 1.0]]).double()
    normals = grid_triangle_normals(positions)
    inside = torch.ones(2, 3, dtype=torch.bool)
    # left-right within each square: 2 pairs without difference; across the fold |(0,0,1) - (-1,0,0)|^2 = 2.
    assert triangle_roughness(normals, inside, floor=0.0) == pytest.approx([2 / 9])
    assert triangle_roughness(normals, inside, floor=0.3) == pytest.approx([(7 * 0.3 + 2) / 9])
    assert triangle_roughness(normals, inside & torch.tensor([True, True, False])) == pytest.approx([1e-4])


def test_variation_by_hand():
    values = torch.tensor([[[0.0, 1.0], [3.0, 7.0]]])
    along_rows, along_columns = (1 + 16) / 2, (9 + 36) / 2
    assert uv_variation(values) == pytest.approx([along_rows + along_columns + 49 + 4])
    inside = torch.tensor([[True, True], [True, False]])
    assert uv_variation(values, inside) == pytest.approx([1 + 9 + 4])


def test_surprise_is_least_at_the_expected_distance():
    target, weight = torch.tensor([[[0.2, 9.0]]]), torch.tensor([[[2.0, 0.0]]])
    zero = torch.zeros(1, 1, 2)
    at = [float(laplace_surprise(zero, zero + math.log(b), target, weight)) for b in (0.1, 0.2, 0.4)]
    assert at == pytest.approx([2 + math.log(0.2), 1 + math.log(0.4), 0.5 + math.log(0.8)])
    assert min(at) == at[1]


def test_distance_by_hand():
    predicted, target = torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[0.0, 4.0]]])
    weight = torch.tensor([[[1.0, 3.0]]])
    assert displacement_distance(predicted, target, weight) == pytest.approx([(0.85 + 3 * 1.85) / 4])
    near = torch.tensor([[[0.06, 4.3]]])  # off by 0.06 mm, where squares count, and by 0.3 mm
    expected = (0.06**2 / 0.6 + 3 * 0.15) / 4
    assert displacement_distance(near, target, weight) == pytest.approx([expected], rel=1e-5)
    assert displacement_distance(predicted, target, 0 * weight) == pytest.approx([0.0])


def test_slopes_by_hand():
    """0.3 mm a column and 0.8 mm a row on texels 2 mm wide and 4 mm tall: slopes of 0.15 and 0.2."""
    rows, columns = torch.meshgrid(torch.arange(4.0), torch.arange(5.0), indexing="ij")
    target = torch.ones(1, 4, 5)
    predicted = target + 0.3 * columns + 0.8 * rows
    metric = torch.tensor([1 / 4, 0.0, 1 / 16])[None, :, None, None].expand(1, 3, 4, 5)
    found = slope_distance(predicted, target, metric, torch.ones(1, 4, 5))
    assert found == pytest.approx([math.hypot(0.25, 0.3) - 0.3], rel=1e-5)
    skew = torch.tensor([1 / 4, 0.05, 1 / 16])[None, :, None, None].expand(1, 3, 4, 5)
    squared = 0.25**2 + 2 * 0.05 * 0.3 * 0.8
    found = slope_distance(predicted, target, skew, torch.ones(1, 4, 5))
    assert found == pytest.approx([math.sqrt(squared + 0.09) - 0.3], rel=1e-5)
    assert slope_distance(predicted, target, metric, torch.zeros(1, 4, 5)) == pytest.approx([0.0])


def test_slopes_are_known_where_five_by_five_texels_are():
    known = torch.ones(1, 9, 9, dtype=torch.bool)
    known[0, 4, 4] = False
    found = known_slopes(known)
    assert not found[0, 2:7, 2:7].any() and int((~found).sum()) == 25


def test_local_mean_is_that_of_the_square_and_counts_weights_alone():
    values = torch.arange(25.0).reshape(1, 5, 5, 1)
    weight = torch.ones(1, 5, 5)
    weight[0, 2, 2] = 0
    assert float(local_mean(values, weight, 3)[0, 2, 2, 0]) == pytest.approx(12.0)
    assert float(local_mean(values, weight, 3)[0, 0, 0, 0]) == pytest.approx((0 + 1 + 5 + 6) / 4)
    assert float(local_mean(values, 0 * weight, 3).abs().max()) == 0


@pytest.mark.parametrize("window", [1, 5, 7, 25])
def test_local_mean_is_that_of_plain_sums(window):
    torch.manual_seed(0)
    values, weight = torch.rand(2, 30, 21, 3), (torch.rand(2, 30, 21) > 0.4).float()
    padded = torch.nn.functional.pad(values * weight[..., None], (0, 0, *4 * [window // 2]))
    counted = torch.nn.functional.pad(weight, 4 * [window // 2])
    for row, column in ((0, 0), (14, 9), (29, 20), (3, 19)):
        square = (slice(None), slice(row, row + window), slice(column, column + window))
        count = counted[square].sum((1, 2))
        expected = padded[square].sum((1, 2)) / count.clamp(min=1)[:, None]
        found = local_mean(values, weight, window)[:, row, column]
        assert torch.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("length", [1, 2, 3, 6, 8, 13])
def test_sliding_sums_are_those_of_neighbours(length):
    values = torch.arange(26.0).reshape(2, 13) ** 2
    expected = torch.stack([values[:, n : n + length].sum(1) for n in range(14 - length)], dim=1)
    assert torch.equal(sliding_sums(values, length, 1), expected)


def test_a_smooth_ratio_is_given_away_and_relief_is_not():
    coarse = torch.full((1, 16, 16, 3), 0.5)
    weight = torch.ones(1, 16, 16)
    assert float(shading_distance(coarse, 0.8 * coarse, coarse, weight, 5)) == pytest.approx(0, abs=1e-4)
    stripes = coarse + 0.1 * torch.tensor([1.0, -1.0]).repeat(8)[None, None, :, None]
    without = shading_distance(coarse, 0.8 * stripes, coarse, weight, 5)
    right = shading_distance(stripes, 0.8 * stripes, coarse, weight, 5)
    assert float(right) < 0.25 * float(without)  # a fifth of the stripes is in the mean of 5 texels
    assert float(without) == pytest.approx(0.08 * math.sqrt(3), rel=0.2)


@pytest.mark.parametrize("name", ["photometric", "laplacian", "triangles", "variation", "surprise", "slopes"])
def test_gradients(name):
    random = torch.Generator().manual_seed(3)
    weight = torch.rand(2, 3, 4, generator=random, dtype=torch.float64)
    maps = torch.randn(2, 3, 4, 3, generator=random, dtype=torch.float64)
    other = torch.randn(2, 3, 4, 3, generator=random, dtype=torch.float64)
    across, down = torch.randn(2, 2, 3, 3, 4, generator=random, dtype=torch.float64)
    products = ((down * down).sum(1), -(across * down).sum(1), (across * across).sum(1))
    metric = torch.stack(products, dim=1)  # of some surface: positive definite
    terms = {
        "photometric": lambda x: photometric_distance(x, other, weight),
        "laplacian": lambda x: laplacian_roughness(x, INSIDE, 1e-3),
        "triangles": lambda x: triangle_roughness(grid_triangle_normals(x), INSIDE),
        "variation": lambda x: uv_variation(x[..., 0], INSIDE),
        "surprise": lambda x: laplace_surprise(x[..., 0], x[..., 1], other[..., 0], weight),
        "slopes": lambda x: slope_distance(x[..., 0], other[..., 0], metric, weight),
    }
    assert torch.autograd.gradcheck(terms[name], maps.requires_grad_())
