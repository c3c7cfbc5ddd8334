"""One texture of a person from all photos that show a part of it.

Each photo gives what its camera saw (`face_texture.bake_face`: depth-tested, faded at grazing angles and
beside hidden parts). Its light, as the reconstruction found it, is taken out within bounds, and a gain per
photo and colour channel makes the photos agree where they show the same surface. Then each texel is the mean
over the photos, weighted by angle, by the photo's confidence, by its sharpness, and by whether it agrees with
the others and with the albedo that all photos were fitted with: what one photo alone shows (glasses, a hand)
does not get in where others see the skin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d

from facemill.faces.face_texture import (
    DARKEST,
    Atlas,
    at_vertices,
    bake_face,
    completed_texture,
    photo_share,
    smoothstep,
)
from facemill.faces.posed_face import PosedFace
from facemill.rendering.lighting import irradiance

#: Power of a texel's weight: near 1 neighbouring photos blur into each other, far above it seams show.
DECISION = 4
#: Light on a part of the face relative to the typical one is taken out between these bounds.
LIGHT_RANGE = (0.6, 1.5)
#: Largest gain of a photo, natural logarithm.
LARGEST_GAIN = 1.0
#: Weight of no gain against agreement with the others, in vertices.
GAIN_TRACE = 1.0
#: Difference of colour (0..1) to the median of the photos at which a photo counts a quarter.
DISAGREEMENT = 0.12
#: Difference of colour to the albedo at which a photo counts a quarter.
UNLIKELY = 0.3
#: Agreement between which a photo fades in; to the albedo alone that is differences between 0.44 and 0.19.
TRUSTED = (0.1, 0.5)
#: Weight of a texel (angle, hidden parts, trust) from which the photo alone has it.
WELL_KNOWN = 0.35
#: Steps along edges of the mesh from the scalp to where its colour may be a surface's.
HAIRLINE = 8
#: How many must see a vertex for their median to mean anything; the albedo counts as one of them on the skin.
ENOUGH = 3
#: Share with which the albedo takes part in gains and medians, so that the texture has its brightness.
VOTE = 0.5


@dataclass(frozen=True)
class PersonTexture:
    """texture (H, W, 3) without the photos' light, row 0 at v = 1; seen (H, W): 255 where photos show it, 0
    where the albedo stands in; gains (N, 3) that the photos were multiplied with; sharpness (N,), 0..1."""

    texture: NDArray[np.uint8]
    seen: NDArray[np.uint8]
    gains: NDArray[np.float64]
    sharpness: NDArray[np.float64]


@dataclass(frozen=True)
class SeenFace:
    """What a photo shows: colours (H, W, 3) without its light and weight (H, W), 8 bits each to save memory;
    the same at the vertices, (V, 3) and (V,)."""

    texture: Tensor
    weight: Tensor
    colors: Tensor
    share: Tensor


def person_texture(
    seen: Sequence[SeenFace],
    confidence: ArrayLike,
    albedo: Tensor,
    atlas: Atlas,
) -> PersonTexture:
    """The texture of a person.

    Args:
        seen: what N photos show, at least one.
        confidence: (N,) how much each photo is worth.
        albedo: (V, 3), 0..1: what stands in for surfaces that no photo shows.
    """
    skin = VOTE * atlas.topology.regions["skin"].to(albedo)
    colors = torch.stack([*(each.colors for each in seen), albedo])
    shares = torch.stack([*(each.share for each in seen), skin])
    gains = agreeing_gains(colors.double().numpy(), shares.double().numpy())
    gains = gains[:-1] / gains[-1:]
    factors = torch.from_numpy(gains).to(colors)
    even = colors[:-1] * factors[:, None]
    agreement = agreement_of(torch.cat([even, colors[-1:]]), shares)[:-1]
    likely = likeliness_of(even, albedo)
    hair = hair_colour(even, shares[:-1], atlas)
    if hair is not None:
        near = near_scalp(atlas)
        likely[:, near] = torch.maximum(likely, likeliness_of(even, hair))[:, near]
    likely[:, atlas.untinted] = 1.0
    trust = smoothstep(agreement * likely, *TRUSTED)
    details = np.array([_sharpness(each, trusted, atlas) for each, trusted in zip(seen, trust, strict=True)])
    sharpness = details / max(float(details.max()), 1e-9)
    worth = np.asarray(confidence, dtype=np.float64)
    worth = worth / max(float(worth.max()), 1e-9) * sharpness
    total = torch.zeros(*atlas.raster.mask.shape, 1)
    texture = torch.zeros(*atlas.raster.mask.shape, 3)
    share = torch.zeros(atlas.raster.mask.shape)
    for each, factor, trusted, weight in zip(seen, factors, trust, worth, strict=True):
        known = each.weight.float()[..., None] / 255
        known = known * atlas.raster.interpolate(trusted[:, None], atlas.topology.triangles)
        part = known.pow(DECISION) * max(float(weight), 1e-3)
        texture += part * (each.texture.float() / 255) * factor
        total += part
        share = torch.maximum(share, smoothstep(known[..., 0], 0.0, WELL_KNOWN))
    whole = completed_texture(texture / total.clamp(min=1e-12), share, albedo, atlas)
    visible = (share.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    return PersonTexture(whole, visible, gains, sharpness)


def agreeing_gains(colors: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gains (N, 3) with which N photos agree best on the colours of what several of them show.

    Minimises, channel by channel, sum over pairs of photos and vertices w_i w_j (log c_i + g_i - log c_j -
    g_j)^2 + sum g^2 over the logarithms g of the gains: those of one photo, or of photos that have nothing
    in common, are 1.

    Args:
        colors: (N, V, 3); shares: (N, V) how much of a vertex each photo shows.
    """
    count = len(colors)
    logarithms = np.log(np.maximum(colors, DARKEST))
    common = shares @ shares.T
    np.fill_diagonal(common, 0)
    system = np.diag(common.sum(axis=1) + GAIN_TRACE) - common
    found = np.zeros((count, 3))
    for channel in range(3):
        weighted = shares * logarithms[..., channel]
        # sum_j sum_v w_i w_j (log c_j - log c_i); the pair of a photo with itself is 0.
        target = shares @ weighted.T
        found[:, channel] = np.linalg.solve(system, (target - target.T).sum(axis=1))
    return np.asarray(np.exp(np.clip(found, -LARGEST_GAIN, LARGEST_GAIN)))


def agreement_of(colors: Tensor, shares: Tensor) -> Tensor:
    """How far each photo (N, V), 0..1, agrees with the median of all; 1 where fewer than three see.

    Args: as in `agreeing_gains`, the gains applied.
    """
    sees = shares > 0.05
    known = torch.where(sees[..., None], colors, torch.nan)
    median = known.nanmedian(dim=0).values
    distance = (colors - median).norm(dim=-1)
    agreement = (1 + (distance / DISAGREEMENT).square()) ** -2
    enough = sees.sum(dim=0) >= ENOUGH
    return torch.where(sees & enough, agreement, torch.ones_like(agreement))


def likeliness_of(colors: Tensor, albedo: Tensor) -> Tensor:
    """How likely each photo (N, V, 3) shows the surface and not a cap or a shadow on it: (N, V), 0..1.

    Where one photo alone sees a place, its difference to the albedo (V, 3) is all that can tell.
    """
    return (1 + ((colors - albedo).norm(dim=-1) / UNLIKELY).square()) ** -2


def hair_colour(colors: Tensor, shares: Tensor, atlas: Atlas) -> Tensor | None:
    """The median colour (3,) of the scalp over all photos, which the albedo does not know; None if unseen."""
    shown = (shares > 0.3) & atlas.topology.regions["scalp"]
    return colors[shown].median(dim=0).values if bool(shown.any()) else None


def near_scalp(atlas: Atlas) -> Tensor:
    """(V,) bool: the scalp and what lies within some steps along the surface, where hair may fall."""
    near = atlas.topology.regions["scalp"].numpy()
    connected = abs(atlas.roughness)
    for _ in range(HAIRLINE):
        near = (connected @ near.astype(np.float64)) > 0
    return torch.from_numpy(near)


def look_at(face: PosedFace, atlas: Atlas, photo: NDArray[np.uint8]) -> SeenFace:
    """What the texture needs of a photo: its whole upright original, (H, W, 3), which may be freed then."""
    baked = bake_face(face, atlas, photo)
    share = photo_share(baked, atlas.raster)
    light = irradiance(face.normals[None], face.coefficients.lighting)[0]
    region = atlas.topology.regions["face"]
    typical = light[region].median(dim=0).values.clamp(min=0.05)
    relative = (light / typical).clamp(*LIGHT_RANGE)
    even = baked.texture / atlas.raster.interpolate(relative, atlas.topology.triangles).clamp(
        min=LIGHT_RANGE[0]
    )
    colors, at = at_vertices(even, share, atlas)
    # The angle decides between photos, the share says how much of a texel they know at all.
    weight = share * (0.3 + 0.7 * baked.weight)
    return SeenFace(_bytes(even), _bytes(weight), colors, at)


def _sharpness(seen: SeenFace, trust: Tensor, atlas: Atlas) -> float:
    """Mean difference of a texel to the mean of its 5 x 5 neighbours, where the photo shows the face well."""
    grey = seen.texture.float().mean(dim=-1)[None, None] / 255
    detail = (grey - avg_pool2d(grey, 5, 1, 2))[0, 0].abs()
    trusted = atlas.raster.interpolate(trust[:, None], atlas.topology.triangles)[..., 0]
    well = (seen.weight > 150) & (trusted > 0.7) & atlas.raster.mask
    return float(detail[well].mean()) if bool(well.any()) else 0.0


def _bytes(values: Tensor) -> Tensor:
    return (values.clamp(0, 1) * 255).round().to(torch.uint8)
