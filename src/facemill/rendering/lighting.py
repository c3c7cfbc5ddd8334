"""Spherical-harmonics lighting: nine bands per colour channel (Ramamoorthi and Hanrahan 2001)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Deep3DFaceRecon (Deng et al. 2019) folds the cosine kernel of a diffuse surface (pi, 2 pi/3, pi/4 per band)
# into the basis with constants of its own; MGCNet has the same. They are fixed by the published coefficients.
BAND_0 = math.pi / math.sqrt(4 * math.pi)
BAND_1 = 2 * math.pi / math.sqrt(3) * math.sqrt(3) / math.sqrt(4 * math.pi)
BAND_2 = 2 * math.pi / math.sqrt(8) * 3 * math.sqrt(5) / math.sqrt(12 * math.pi)
AMBIENT = 0.8


def harmonics_basis(normals: Tensor) -> Tensor:
    """Deep3DFaceRecon's nine basis functions of unit normals (..., 3) -> (..., 9).

    Y = [k0, -k1 y, k1 z, -k1 x, k2 xy, -k2 yz, k2/(2 sqrt 3) (3 z^2 - 1), -k2 xz, k2/2 (x^2 - y^2)],
    k0 = 0.886, k1 = 1.772, k2 = 2.427. Deep3DFaceRecon takes normals of the posed head frame (y up, z towards
    the camera); MGCNet takes normals of the unposed model.
    """
    _check_normals(normals)
    x, y, z = normals.unbind(-1)
    return torch.stack(
        [
            torch.full_like(x, BAND_0),
            -BAND_1 * y,
            BAND_1 * z,
            -BAND_1 * x,
            BAND_2 * x * y,
            -BAND_2 * y * z,
            BAND_2 / (2 * math.sqrt(3)) * (3 * z * z - 1),
            -BAND_2 * x * z,
            BAND_2 / 2 * (x * x - y * y),
        ],
        dim=-1,
    )


def harmonics_basis_detail_layer(normals: Tensor) -> Tensor:
    """The basis of the detail layer (Chen et al. 2020), normals in the camera frame: (..., 3) -> (..., 9).

    Orthonormal real harmonics in the order 1, z, x, y, 3z^2-1, xz, yz, x^2-y^2, xy, no cosine kernel.
    """
    _check_normals(normals)
    x, y, z = normals.unbind(-1)
    band_1, band_2 = math.sqrt(3 / (4 * math.pi)), math.sqrt(15 / (4 * math.pi))
    return torch.stack(
        [
            torch.full_like(x, math.sqrt(1 / (4 * math.pi))),
            band_1 * z,
            band_1 * x,
            band_1 * y,
            math.sqrt(5 / (16 * math.pi)) * (3 * z * z - 1),
            band_2 * x * z,
            band_2 * y * z,
            band_2 / 2 * (x * x - y * y),
            band_2 * x * y,
        ],
        dim=-1,
    )


def shade(albedo: Tensor, normals: Tensor, lighting: Tensor) -> Tensor:
    """Colours of a diffuse surface under Deep3DFaceRecon's lighting, vertex by vertex or pixel by pixel.

    colour_c = albedo_c (Y(n) . (g_c + (0.8, 0, ..., 0))), c = red, green, blue.

    Args:
        albedo: (B, ..., 3), 0..1 (or one broadcastable to the shape of `normals`).
        normals: (B, ..., 3), unit length, frame as in `harmonics_basis`.
        lighting: (B, 27) = 9 numbers for red, 9 for green, 9 for blue. 0 is white ambient light of 0.709.
    Returns:
        (B, ..., 3), not clipped.
    """
    return albedo * irradiance(normals, lighting)


def irradiance(normals: Tensor, lighting: Tensor) -> Tensor:
    """What `shade` multiplies the albedo with: (B, ..., 3)."""
    return _lit(harmonics_basis(normals), lighting, (AMBIENT,))


def irradiance_detail_layer(normals: Tensor, lighting: Tensor) -> Tensor:
    """The same for the detail layer: its own basis, and an offset of 0.3 on its first two functions."""
    return _lit(harmonics_basis_detail_layer(normals), lighting, (0.3, 0.3))


def _lit(basis: Tensor, lighting: Tensor, offset: tuple[float, ...]) -> Tensor:
    if lighting.shape != (len(basis), 27):
        raise ValueError(
            f"lighting must have shape ({len(basis)}, 27) for normals of {tuple(basis.shape[:-1])}, "
            f"not {tuple(lighting.shape)}"
        )
    ambient = lighting.new_zeros(9)
    ambient[: len(offset)] = lighting.new_tensor(offset)
    per_channel = lighting.reshape(-1, 3, 9) + ambient
    flat = basis.reshape(len(basis), -1, 9) @ per_channel.mT
    return flat.reshape(*basis.shape[:-1], 3)


def _check_normals(normals: Tensor) -> None:
    if normals.shape[-1:] != (3,):
        raise ValueError(f"normals must have shape (..., 3), not {tuple(normals.shape)}")
