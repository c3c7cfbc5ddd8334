"""The displacement operator: against closed forms, finite differences, and its own meshes."""

import math

import pytest
import torch
from torch.testing import assert_close

from facemill.detail.surface import (
    DenseSurface,
    displaced_normals,
    displaced_positions,
    grid_triangles,
    surface_gradient,
)
from facemill.geometry.mesh import boundary_edges, normalised, vertex_normals

INNER = (slice(3, -3), slice(3, -3))


def plane(rows=24, columns=31):
    """A slanting sheet with another millimetre per texel across than down, and its unit normals."""
    y, x = torch.meshgrid(
        torch.arange(rows, dtype=torch.float64), torch.arange(columns, dtype=torch.float64), indexing="ij"
    )
    positions = torch.stack([0.6 * x, -0.9 * y, 0.2 * x + 0.1 * y], dim=-1)
    up_and_right = torch.tensor([[0.6, 0, 0.2], [0, 0.9, -0.1]], dtype=torch.float64)
    normal = normalised(torch.linalg.cross(*up_and_right))
    return positions, normal.expand(rows, columns, 3)


def patch_of_sphere(radius=60.0, rows=200, columns=160, extent=0.8):
    """Longitudes and latitudes within +-extent / 2: positions, outward normals, and both angles."""
    latitude = torch.linspace(extent / 2, -extent / 2, rows, dtype=torch.float64)[:, None]
    longitude = torch.linspace(-extent / 2, extent / 2, columns, dtype=torch.float64)[None]
    normals = torch.stack(
        [
            longitude.sin() * latitude.cos(),
            latitude.sin().expand(rows, columns),
            longitude.cos() * latitude.cos(),
        ],
        dim=-1,
    )
    return radius * normals, normals, longitude.expand(rows, columns), latitude.expand(rows, columns)


def degrees_between(a, b):
    return torch.rad2deg(torch.atan2(torch.linalg.cross(a, b).norm(dim=-1), (a * b).sum(-1)))


def test_a_linear_displacement_has_its_exact_gradient_up_to_the_border():
    positions, normals = plane()
    direction = torch.tensor([0.05, -0.03, 0.02], dtype=torch.float64)
    found = surface_gradient(positions @ direction, positions)
    in_plane = direction - (direction @ normals[0, 0]) * normals[0, 0]
    assert_close(found, in_plane.expand_as(found), rtol=0, atol=1e-12)


def test_waves_on_a_plane_have_their_normals():
    # 12 texels of 0.632 mm a wave; slope 2 pi 0.3 / 7.59 = 0.248.
    positions, normals = plane(40, 60)
    across = normalised(torch.tensor([0.6, 0.0, 0.2], dtype=torch.float64))
    wave = 2 * math.pi / (12 * math.hypot(0.6, 0.2))
    phase = positions @ across * wave
    found = displaced_normals(0.3 * torch.sin(phase), positions, normals)
    slope = 0.3 * wave * torch.cos(phase)
    expected = normalised(normals - slope[..., None] * across)
    assert degrees_between(found, expected)[INNER].max() < 0.05


def test_waves_on_a_sphere_have_their_normals():
    """P = (R + d) n has the normal n - d_longitude / ((R + d) cos latitude) e - d_latitude / (R + d) f."""
    radius = 12.0  # as tight as the tip of a nose; relief of 1 mm changes its metric by a twelfth
    positions, normals, longitude, latitude = patch_of_sphere(radius)
    displacement = torch.sin(9 * longitude) * torch.cos(7 * latitude)
    east = torch.stack([longitude.cos(), torch.zeros_like(longitude), -longitude.sin()], dim=-1)
    north = torch.linalg.cross(normals, east)
    along_east = 9 * torch.cos(9 * longitude) * torch.cos(7 * latitude)
    along_north = -7 * torch.sin(9 * longitude) * torch.sin(7 * latitude)
    reach = radius + displacement
    expected = normalised(
        normals
        - (along_east / (reach * latitude.cos()))[..., None] * east
        - (along_north / reach)[..., None] * north
    )
    found = displaced_normals(displacement, positions, normals)
    assert degrees_between(found, expected)[INNER].max() < 0.01
    assert degrees_between(normals, expected).max() > 30  # it is a steep relief


def test_without_displacement_normals_stay():
    positions, normals = plane()
    assert_close(displaced_normals(torch.zeros(24, 31, dtype=torch.float64), positions, normals), normals)


def test_beside_the_face_nothing_is_invented():
    positions, normals = plane()
    positions[:, 20:] = 0
    normals = normals.clone()
    normals[:, 20:] = 0
    displacement = torch.zeros(24, 31, dtype=torch.float64)
    displacement[5, 5] = 1
    displacement.requires_grad_()
    found = displaced_normals(displacement, positions, normals)
    assert (found[:, 20:] == 0).all() and torch.isfinite(found).all()
    found.sum().backward()
    assert torch.isfinite(displacement.grad).all()


@pytest.mark.parametrize("function", ["gradient", "normals", "positions"])
def test_gradients_agree_with_finite_differences(function):
    draw = torch.Generator().manual_seed(3)
    positions, normals, _, _ = patch_of_sphere(30.0, 6, 7)
    displacement = 0.3 * torch.randn(2, 6, 7, generator=draw, dtype=torch.float64)
    positions = positions + 0.05 * torch.randn(2, 6, 7, 3, generator=draw, dtype=torch.float64)
    arguments = [displacement.requires_grad_(), positions.requires_grad_()]
    operator = surface_gradient
    if function != "gradient":
        operator = displaced_normals if function == "normals" else displaced_positions
        arguments.append(normals.expand(2, 6, 7, 3).clone().requires_grad_())
    assert torch.autograd.gradcheck(operator, arguments)


def test_the_grid_has_two_triangles_for_four_texels_and_faces_outwards():
    mask = torch.tensor([[1, 1, 0, 1], [1, 1, 1, 0], [0, 1, 1, 0.4]])
    grid = grid_triangles(mask)
    assert grid.texels.tolist() == [0, 1, 4, 5, 6, 9, 10]
    assert sorted(map(sorted, grid.triangles.tolist())) == [[0, 1, 3], [0, 2, 3], [3, 4, 6], [3, 5, 6]]
    places = torch.stack([grid.texels % 4, -(grid.texels // 4), 0 * grid.texels], dim=1).double()
    normals = vertex_normals(places, grid.triangles)
    assert (normals[:, 2] == 1).all()  # rows run down


class TestDenseSurface:
    def test_it_is_as_closed_as_the_model(self, head_model):
        topology = head_model.topology
        dense = DenseSurface(topology, 1)
        before, after = boundary_edges(topology.triangles.numpy()), boundary_edges(dense.triangles.numpy())
        # A border edge of a refined triangle becomes two; a crack would add the edges of both its sides.
        shape = head_model.mean_shape.double()
        length = (shape[before[:, 0]] - shape[before[:, 1]]).norm(dim=1).sum()
        flat = dense.interpolated(shape)
        fine = (flat[after[:, 0]] - flat[after[:, 1]]).norm(dim=1).sum()
        assert float(fine) == pytest.approx(float(length), rel=1e-6)
        assert len(dense.triangles) > 2.9 * len(topology.triangles)

    def test_both_sides_of_a_seam_move_together(self, head_model):
        """Noise all over the map: each vertex is one point, and moves by the mean of its places."""
        topology = head_model.topology
        dense = DenseSurface(topology, 1)
        noise = torch.randn(64, 64, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        shape = head_model.mean_shape.double()
        before, after = dense.positions(shape), dense.positions(shape, noise)
        moved = (after - before).norm(dim=1)
        assert_close(moved, dense.sampled(noise).abs(), rtol=1e-6, atol=1e-9)
        vertex, place = dense.triangles.reshape(-1), dense.uv_triangles.reshape(-1)
        places = torch.unique(torch.stack([vertex, place], dim=1), dim=0)
        assert torch.bincount(places[:, 0]).max() > 1  # the head has seams

    def test_its_faces_are_those_of_the_analytic_normals(self, toy_model):
        """Waves of 18 mm, 0.8 mm deep, on the toy's ellipsoid: the mesh and the operator agree."""
        from facemill.detail.atlas import prepare_detail_atlas
        from facemill.rendering.texture import sample_texture

        atlas = prepare_detail_atlas(toy_model.topology, 512)
        shape = toy_model.mean_shape
        positions, normals = atlas.smooth_positions(shape), atlas.smooth_normals(shape)
        displacement = 0.8 * torch.sin(2 * math.pi / 18 * positions[..., 1]) * atlas.mask
        found = displaced_normals(displacement, positions, normals)
        dense = DenseSurface(toy_model.topology, 2)
        fine = vertex_normals(dense.positions(shape, atlas.whole(displacement)), dense.triangles, "area")
        whole = atlas.whole(found.movedim(-1, 0)).movedim(0, -1)
        mask = atlas.whole(atlas.mask.double())
        read = normalised(sample_texture(whole[None], dense.uv[None])[0])
        full = sample_texture(mask[None, ..., None], dense.uv[None])[0, :, 0] > 0.999
        # The toy has one island: its places in the atlas are its vertices.
        assert (dense.triangles == dense.uv_triangles).all() and full.float().mean() > 0.5
        assert degrees_between(fine, read)[full].mean() < 1.0

    def test_gradients_agree_with_finite_differences(self, toy_model):
        dense = DenseSurface(toy_model.topology, 1)
        shape = toy_model.mean_shape.clone()
        draw = torch.Generator().manual_seed(2)
        displacement = torch.randn(32, 32, generator=draw, dtype=torch.float64)
        weights = torch.randn(dense.vertex_count, 3, generator=draw, dtype=torch.float64)
        directions = [
            torch.randn(x.shape, generator=draw, dtype=torch.float64) for x in (shape, displacement)
        ]

        def total(step):
            placed = dense.positions(shape + step * directions[0], displacement + step * directions[1])
            return (weights * placed).sum()

        step = torch.zeros((), dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(total(step), step)
        h = 1e-5
        with torch.no_grad():
            expected = (total(h) - total(-h)) / (2 * h)
        assert_close(slope, expected, rtol=1e-7, atol=1e-7)

    def test_levels_beyond_three_are_refused(self, toy_model):
        with pytest.raises(ValueError, match="level"):
            DenseSurface(toy_model.topology, 4)
