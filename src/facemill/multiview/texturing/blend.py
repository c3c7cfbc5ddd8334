"""One texture of a head from all of its views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from facemill.faces.face_texture import Atlas, completed_texture, photo_share
from facemill.geometry.infill import push_pull
from facemill.multiview.displaced_head import DisplacedHead
from facemill.multiview.fine_mesh import refine_face
from facemill.multiview.head_views import HeadView
from facemill.multiview.texturing.bands import BandBlender, weighted_mean
from facemill.multiview.texturing.consensus import Agreement, enlarged, find_agreement
from facemill.multiview.texturing.settings import BlendTextureSettings
from facemill.multiview.texturing.views import TexelSurface, ViewTexels, view_texels_of
from facemill.rendering.texture import BakedTexture

OCCLUDER_EDGE = 2.0  # mm, of the displaced mesh that hides texels
COARSEST = 40.0  # mm, about the wavelength up to which differences are mixed by bands
FINEST = 2.0  # mm, detail below which comes from the best view
SMOOTHING = 1e-4  # of weights: where every view is weak the mean of all is taken


@dataclass(frozen=True)
class ViewShare:
    """What one view gives: name; gains (3,), on top of those of the capture; share of the seen texels that it
    gives, by weight; sharpness, 0..1 against the sharpest, the median over what it shows; outliers, the share
    of what it shows that is not believed."""

    name: str
    gains: tuple[float, float, float]
    share: float
    sharpness: float
    outliers: float


@dataclass(frozen=True)
class BlendedTexture:
    """texture: (T, T, 3) uint8, row 0 is v = 1, filled everywhere. seen: (T, T) uint8, 0 = inpainted."""

    texture: NDArray[np.uint8]
    seen: NDArray[np.uint8]
    views: tuple[ViewShare, ...]


def blend_texture(
    views: Sequence[HeadView],
    head: DisplacedHead,
    albedo: torch.Tensor,
    atlas: Atlas,
    settings: BlendTextureSettings,
) -> BlendedTexture:
    """The texture of a head; what no view shows is the albedo (V, 3) of the model, toned to match.

    Args:
        views: at least one. head: over the texels of `atlas`, whose side is the texture's.
    Raises:
        ValueError: no view.
    """
    if not views:
        raise ValueError("views: expected at least one, found none")
    occluder = head.displaced(refine_face(head.topology, head.vertices, OCCLUDER_EDGE))
    surface = TexelSurface.prepare(head, occluder)
    seen = [view_texels_of(surface, view, settings.least_cosine) for view in views]
    texel = _texel_length(head)
    weights = _weights(seen, settings.angle_power)
    agreement = find_agreement(seen, weights, texel, settings.field, settings.robust)
    weights *= np.stack(
        [
            enlarged(robust * sharp, len(weight))
            for robust, sharp, weight in zip(agreement.robust, agreement.sharpness, weights, strict=True)
        ]
    )
    texture = _blended(seen, weights, agreement, texel, settings.detail_power)
    best = np.max(
        [view.weight * (weight > SMOOTHING) for view, weight in zip(seen, weights, strict=True)], axis=0
    )
    known = BakedTexture(torch.from_numpy(texture), torch.from_numpy(best.astype(np.float32)))
    share = photo_share(known, atlas.raster)
    whole = completed_texture(known.texture, share, albedo.float(), atlas)
    return BlendedTexture(
        whole,
        np.rint(255 * share.numpy()).astype(np.uint8),
        _shares(seen, weights, agreement),
    )


def _weights(views: Sequence[ViewTexels], power: float) -> NDArray[np.float32]:
    """(V, T, T): cosine^power times the root of the pixels per texel against the view with most."""
    density = np.stack([view.density for view in views])
    most = np.maximum(density.max(axis=0), 1e-9)
    return np.stack(
        [view.weight**power * np.sqrt(one / most) for view, one in zip(views, density, strict=True)]
    ).astype(np.float32)


def _blended(
    views: Sequence[ViewTexels],
    weights: NDArray[np.float32],
    agreement: Agreement,
    texel: float,
    power: float,
) -> NDArray[np.float32]:
    """(T, T, 3): the views, fitted to one another, mixed band by band; smooth where no view has anything."""
    size = weights.shape[1]

    def fitted(number: int) -> NDArray[np.float32]:
        return views[number].colour.astype(np.float32) * enlarged(agreement.fields[number], size)

    mean = weighted_mean((fitted(number) for number in range(len(views))), weights)
    total = weights.sum(axis=0)
    known = torch.from_numpy((total > SMOOTHING).astype(np.float32))
    base = push_pull(torch.from_numpy(mean), known).numpy()
    levels = max(1, min(int(np.log2(COARSEST / texel)), int(np.log2(size)) - 2))
    blender = BandBlender(size, levels, sharp=max(1, round(np.log2(FINEST / texel))))
    strongest = np.maximum(weights.max(axis=0), 1e-9)
    for number, weight in enumerate(weights):
        # What a view does not show is the mean of the others: no band sees an edge there.
        inside = np.clip(weight / (0.02 * strongest), 0, 1) * (total > SMOOTHING)
        colour = base + inside[..., None] * (fitted(number) - base)
        fine = (weight / strongest) ** power + 1e-6
        blender.add(colour, fine.astype(np.float32), weight / strongest + np.float32(1e-6))
    return np.clip(blender.blended(), 0, 1)


def _shares(
    views: Sequence[ViewTexels], weights: NDArray[np.float32], agreement: Agreement
) -> tuple[ViewShare, ...]:
    total = weights.sum(axis=0)
    given = total > SMOOTHING
    found = []
    for number, view in enumerate(views):
        part = (weights[number][given] / total[given]).sum() / max(given.sum(), 1)
        visible = agreement.known[number]
        known = visible.any()
        found.append(
            ViewShare(
                view.name,
                tuple(float(gain) for gain in agreement.gains[number]),  # type: ignore[arg-type]
                float(part),
                float(np.median(agreement.sharpness[number][visible])) if known else 0.0,
                float((agreement.robust[number][visible] < 0.5).mean()) if known else 0.0,
            )
        )
    return tuple(found)


def _texel_length(head: DisplacedHead) -> float:
    """Millimetres from one texel of the face to the next, the median; 1 where an atlas shows no face."""
    face = head.face
    steps = np.linalg.norm(head.position[:, 1:] - head.position[:, :-1], axis=-1)
    inside = steps[face[:, 1:] & face[:, :-1]]
    return float(np.median(inside)) if len(inside) else 1.0
