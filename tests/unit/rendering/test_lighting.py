"""Harmonics: Deep3D's numbers, orthogonality on the sphere, a lit sphere in closed form."""

import math

import pytest
import torch
from torch.autograd import gradcheck
from torch.testing import assert_close

from facemill.rendering import lighting as li


def sphere_quadrature() -> tuple[torch.Tensor, torch.Tensor]:
    """Points on the unit sphere and their areas (midpoint rule in z and azimuth), exact to 1e-6 here."""
    z = (torch.arange(600, dtype=torch.float64) + 0.5) / 300 - 1
    azimuth = 2 * math.pi * torch.arange(16, dtype=torch.float64) / 16
    radius = torch.sqrt(1 - z * z)
    points = torch.stack(
        [
            radius[:, None] * torch.cos(azimuth),
            radius[:, None] * torch.sin(azimuth),
            z[:, None].expand(-1, 16),
        ],
        dim=-1,
    )
    return points.reshape(-1, 3), torch.full((9600,), 4 * math.pi / 9600, dtype=torch.float64)


def test_constants_of_deep3d() -> None:
    """Values evaluated from Deep3DFaceRecon's a0 c0, a1 c1, a2 c2 (models/bfm.py)."""
    basis = li.harmonics_basis(torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64))[0]
    expected = [
        0.886226925,
        -1.772453851 * 2,
        1.772453851 * 3,
        -1.772453851,
        2.427032391 * 2,
        -2.427032391 * 6,
        0.700623902 * (27 - 1),
        -2.427032391 * 3,
        1.213516195 * (1 - 4),
    ]
    assert_close(basis, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=2e-8)


@pytest.mark.parametrize("basis", [li.harmonics_basis, li.harmonics_basis_detail_layer])
def test_basis_is_orthogonal_on_the_sphere(basis) -> None:  # type: ignore[no-untyped-def]
    points, areas = sphere_quadrature()
    values = basis(points)
    gram = (values * areas[:, None]).mT @ values
    assert_close(gram, torch.diag(torch.diagonal(gram)), rtol=0, atol=1e-4)
    if basis is li.harmonics_basis_detail_layer:
        assert_close(gram, torch.eye(9, dtype=torch.float64), rtol=0, atol=1e-4)
    else:  # within a band all nine have one norm: Deep3D's factors belong to bands, not to functions
        norms = torch.diagonal(gram)
        assert_close(norms[1:4], norms[1].expand(3), rtol=1e-4, atol=0)
        assert_close(norms[4:], norms[4].expand(5), rtol=1e-4, atol=0)


def test_no_lighting_is_white_ambient_light() -> None:
    normals, _ = sphere_quadrature()
    albedo = torch.full((1, 9600, 3), 0.5, dtype=torch.float64)
    lit = li.shade(albedo, normals[None], torch.zeros(1, 27, dtype=torch.float64))
    assert_close(lit, torch.full_like(lit, 0.5 * 0.8 * math.sqrt(math.pi) / 2))


def test_lit_sphere_in_closed_form_by_channel() -> None:
    """Red is lit from the camera (z), green from above (minus its y coefficient), blue from image right."""
    normals, _ = sphere_quadrature()
    lighting = torch.zeros(1, 27, dtype=torch.float64)
    lighting[0, 2] = 0.3
    lighting[0, 9 + 1] = -0.2
    lighting[0, 18 + 3] = -0.1
    lit = li.shade(torch.ones(1, 9600, 3, dtype=torch.float64), normals[None], lighting)[0]
    ambient = 0.8 * math.sqrt(math.pi) / 2
    band_1 = math.sqrt(math.pi)
    slopes = torch.tensor([0.3, 0.2, 0.1], dtype=torch.float64)
    assert_close(lit, ambient + band_1 * slopes * normals[:, [2, 1, 0]])


def test_detail_layer_offset_and_order() -> None:
    normals = torch.tensor([[[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]], dtype=torch.float64)
    lit = li.irradiance_detail_layer(normals, torch.zeros(1, 27, dtype=torch.float64))
    first, second = 0.3 / math.sqrt(4 * math.pi), 0.3 * math.sqrt(3 / (4 * math.pi))
    assert_close(lit[0, :, 0], torch.tensor([first + second, first], dtype=torch.float64))


def test_pixels_and_vertices_are_shaded_alike_and_differentiably() -> None:
    generator = torch.Generator().manual_seed(0)
    normals = torch.randn(2, 6, 3, dtype=torch.float64, generator=generator)
    lighting = torch.randn(2, 27, dtype=torch.float64, generator=generator)
    albedo = torch.rand(2, 6, 3, dtype=torch.float64, generator=generator)
    lit = li.shade(albedo, normals, lighting)
    as_pixels = li.shade(albedo.reshape(2, 2, 3, 3), normals.reshape(2, 2, 3, 3), lighting)
    assert_close(as_pixels.reshape(2, 6, 3), lit)
    assert gradcheck(li.shade, (albedo.requires_grad_(), normals.requires_grad_(), lighting.requires_grad_()))


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"lighting must have shape \(2, 27\)"):
        li.irradiance(torch.zeros(2, 5, 3), torch.zeros(1, 27))
    with pytest.raises(ValueError, match="normals must have shape"):
        li.harmonics_basis(torch.zeros(2, 5, 4))
