"""The maps that detail networks read, made of a coarse face and of the photo in the atlas."""

from __future__ import annotations

import torch
from torch import Tensor

from facemill.detail.coarse_maps import LUMINANCE, CoarseMaps, light_response
from facemill.detail.local_mean import local_mean
from facemill.detail.networks.spec import INPUTS

AROUND = 25  # texels along the square whose mean brightness counts as that of smooth skin
DARKEST = 0.02
DULL = 0.3  # response of the light below which brightness says little of the slope
STEEPEST = 0.3


def network_inputs(
    maps: CoarseMaps, colours: Tensor, weight: Tensor, scale: Tensor, mask: Tensor, texel: float
) -> Tensor:
    """The channels of `networks.spec.INPUTS`, (B, 15, h, w).

    Where there is no evidence the photo is replaced by the coarse render: nothing is seen there, and no
    border of what is seen shows.

    Args:
        colours: (B, h, w, 3) 0..1 of the photo; weight: (B, h, w) evidence.
        scale: (B, h, w) log2 of pixels per mm, 0 where nothing is seen.
        mask: (h, w) 0..1, where displacement may be.
        texel: typical size of a texel, mm.
    """
    with torch.no_grad():
        render = maps.render
        photo = torch.where((weight > 0)[..., None], colours, render)
        inside = (mask > 0)[..., None]
        response = light_response(maps, texel)
        channels = {
            "difference": photo - render,
            "photo": photo - 0.5,
            "normals": maps.posed(maps.normals),
            "weight": (weight * mask)[..., None],
            "scale": (scale * (weight > 0))[..., None],
            "response": response,
            "slope": slope_of_shading(photo, render, weight, response),
        }
        assert {name: value.shape[-1] for name, value in channels.items()} == INPUTS
        stacked = torch.cat([channels[name] * inside for name in INPUTS], dim=-1)
        return stacked.permute(0, 3, 1, 2)


def slope_of_shading(photo: Tensor, render: Tensor, weight: Tensor, response: Tensor) -> Tensor:
    """The least slope that explains how much brighter a texel is than the skin around it.

    r = ln(photo / render) less its mean around is, to first order, response . slope: one equation for two
    numbers, whose solution of least length is r response / |response|^2, here damped where light comes
    straight from the front. The network is left to clean and to integrate it.

    Args:
        photo, render: (B, h, w, 3); weight: (B, h, w) evidence; response: (B, h, w, 2) of `light_response`.
    Returns:
        (B, h, w, 2), mm per mm to the right and down the window; 0 where nothing is seen.
    """
    grey = photo.new_tensor(LUMINANCE)
    ratio = torch.log((photo @ grey).clamp(min=DARKEST) / (render @ grey).clamp(min=DARKEST))
    brighter = ratio - local_mean(ratio[..., None], weight, AROUND)[..., 0]
    share = brighter * (weight > 0) / ((response * response).sum(-1) + DULL**2)
    return (share[..., None] * response).clamp(-STEEPEST, STEEPEST)
