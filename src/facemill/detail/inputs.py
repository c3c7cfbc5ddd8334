"""The maps that detail networks read, made of a coarse face and of the photo in the atlas."""

from __future__ import annotations

import torch
from torch import Tensor

from facemill.detail.coarse_maps import CoarseMaps, light_response
from facemill.detail.networks.spec import INPUTS


def network_inputs(
    maps: CoarseMaps, colours: Tensor, weight: Tensor, scale: Tensor, mask: Tensor, texel: float
) -> Tensor:
    """The channels of `networks.spec.INPUTS`, (B, 13, h, w).

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
        channels = {
            "difference": photo - render,
            "photo": photo - 0.5,
            "normals": maps.posed(maps.normals),
            "weight": (weight * mask)[..., None],
            "scale": (scale * (weight > 0))[..., None],
            "response": light_response(maps, texel),
        }
        assert {name: value.shape[-1] for name, value in channels.items()} == INPUTS
        stacked = torch.cat([channels[name] * inside for name in INPUTS], dim=-1)
        return stacked.permute(0, 3, 1, 2)
