"""What is known of a coarse face at each texel of the window, decoded from its coefficients."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from facemill.detail.atlas import DetailAtlas
from facemill.geometry.rotation import matrix_from_euler_deep3d
from facemill.models.coefficients import Coefficients
from facemill.models.morphable import MorphableModel
from facemill.rendering.lighting import irradiance, shade

LUMINANCE = (0.299, 0.587, 0.114)
FLATTEST = 1e-4  # squared sine of the angle between rows and columns below which there is no surface
DARKEST = 0.05  # irradiance below which relative changes mean nothing


@dataclass(frozen=True)
class CoarseMaps:
    """Window maps of B coarse faces; 0 where no face is.

    Attributes:
        positions: (B, h, w, 3) millimetres, head frame.
        normals: (B, h, w, 3) unit, head frame, smooth (area-weighted at vertices, interpolated).
        albedo: (B, h, w, 3) 0..1.
        tangents: (B, 2, 3, h, w) derivatives of the positions to the right and down, mm per texel.
        inverse_metric: (B, 3, h, w) uu, uv and vv of the inverse of the tangents' inner products, texel^2 per
            mm^2; 0 where they span no plane. A map of derivatives d_u, d_v per texel has the squared slope
            uu d_u^2 + 2 uv d_u d_v + vv d_v^2 over the surface.
        rotation: (B, 3, 3) of the head: posed = rotation x head frame.
        lighting: (B, 27), about normals of the posed head frame.
    """

    positions: Tensor
    normals: Tensor
    albedo: Tensor
    tangents: Tensor
    inverse_metric: Tensor
    rotation: Tensor
    lighting: Tensor

    def __len__(self) -> int:
        return len(self.positions)

    def posed(self, normals: Tensor) -> Tensor:
        """Normals (B, h, w, 3) of the head frame in the posed one (y up, z towards the camera)."""
        return (normals.flatten(1, 2) @ self.rotation.mT).reshape(normals.shape)

    def shaded(self, normals: Tensor) -> Tensor:
        """(B, h, w, 3) colours of the albedo under the face's light, for normals of the head frame."""
        return shade(self.albedo, self.posed(normals), self.lighting)

    @property
    def render(self) -> Tensor:
        """(B, h, w, 3) colours of the coarse face, clipped to 0..1."""
        return self.shaded(self.normals).clamp(0, 1)


def coarse_maps(model: MorphableModel, atlas: DetailAtlas, coefficients: Coefficients) -> CoarseMaps:
    """Decode B faces into the window of an atlas; no gradients: coarse faces are data here."""
    with torch.no_grad():
        shape = model.shape(coefficients.identity, coefficients.expression)
        albedo = model.albedo(coefficients.albedo)
        positions = atlas.smooth_positions(shape)
        tangents = _tangents(positions)
        return CoarseMaps(
            positions,
            atlas.smooth_normals(shape),
            atlas.mapped(albedo).clamp(0, 1),
            tangents,
            _inverse_metric(tangents),
            matrix_from_euler_deep3d(coefficients.rotation),
            coefficients.lighting,
        )


def light_response(maps: CoarseMaps, texel: float) -> Tensor:
    """How much brighter a texel becomes, as a share, per unit of slope of the displacement.

    A displacement d turns the normal to n - grad d, with grad d = d_u U + d_v V, where d_u and d_v are its
    derivatives per texel to the right and down, and U, V (1 / mm, tangential) are the dual basis of the
    surface's derivatives. With E(n) the irradiance, E(n - a U) / E(n) - 1 is about -a (dE/dn . U) / E. This
    is what shape from shading inverts; a network that is told need not find the light first.

    Args:
        texel: typical size of a texel, mm, which makes the slope a number without unit.
    Returns:
        (B, h, w, 2): -texel (dE/dn . U) / E and the same of V, E being luminance; 0 where the positions span
        no surface.
    """
    with torch.no_grad():
        turn, constant, dark = _luminance_gradient(maps)
        gradient = maps.normals.flatten(1, 2) @ turn + constant[:, None]
        level = dark[:, None] + 0.5 * ((gradient + constant[:, None]) * maps.normals.flatten(1, 2)).sum(-1)
        size = maps.positions.shape[1:3]
        slope = gradient.mT.unflatten(2, size)
        p, q = ((slope * tangent).sum(1) for tangent in maps.tangents.unbind(1))
        uu, uv, vv = maps.inverse_metric.unbind(1)
        share = -texel / level.unflatten(1, size).clamp(min=DARKEST)
        return torch.stack(((uu * p + uv * q) * share, (uv * p + vv * q) * share), dim=-1)


def _tangents(positions: Tensor) -> Tensor:
    planes = positions.permute(0, 3, 1, 2).contiguous()
    return torch.stack((torch.gradient(planes, dim=3)[0], torch.gradient(planes, dim=2)[0]), dim=1)


def _inverse_metric(tangents: Tensor) -> Tensor:
    across, down = tangents.unbind(1)
    uu, uv, vv = (across * across).sum(1), (across * down).sum(1), (down * down).sum(1)
    determinant = uu * vv - uv * uv
    usable = determinant > FLATTEST * uu * vv
    share = 1 / torch.where(usable, determinant, torch.inf)
    return torch.stack((vv * share, -uv * share, uu * share), dim=1)


def _luminance_gradient(maps: CoarseMaps) -> tuple[Tensor, Tensor, Tensor]:
    """The luminance E of unit normals n of the head frame is quadratic: its gradient is n M + b.

    Returns:
        M (B, 3, 3), b (B, 3), and E (B,) for n = 0; E(n) is E(0) + (gradient + b) . n / 2.
    """
    count = len(maps)
    weights = maps.lighting.new_tensor(LUMINANCE)
    mixed = (maps.lighting.reshape(-1, 3, 9) * weights[:, None]).sum(1, keepdim=True)
    grey = mixed.expand(-1, 3, -1).reshape(-1, 27)
    axes = torch.cat((torch.zeros(1, 3), torch.eye(3))).to(maps.rotation)
    points = torch.stack([axes + side * step for step in axes[1:] for side in (1, -1)], dim=1)
    values = irradiance(maps.posed(points.expand(count, -1, -1, 3)), grey)[..., 0]
    slopes = (values[..., 0::2] - values[..., 1::2]) / 2  # exact: E is quadratic
    dark = irradiance(torch.zeros(count, 1, 3).to(grey), grey)[:, 0, 0]
    return slopes[:, 1:] - slopes[:, :1], slopes[:, 0], dark
