"""What one photo shows of its reconstructed face, in the window of the atlas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facemill.detail.atlas import DetailAtlas
from facemill.detail.evidence import evidence
from facemill.detail.resample import TexelPlaces, UvPhoto, locate_texels, sample_photo
from facemill.faces.posed_face import PosedFace
from facemill.geometry.image import transform_points


@dataclass(frozen=True)
class Observation:
    """Window maps of one face.

    Attributes:
        photo: colours (h, w, 3), visibility, pixels per mm.
        evidence: (h, w) 0..1: how much of the surface's relief the photo can hold there.
        places: where the texels are in the photo.
    """

    photo: UvPhoto
    evidence: Tensor
    places: TexelPlaces


def observe(atlas: DetailAtlas, face: PosedFace, photo: NDArray[np.uint8], skin: Tensor) -> Observation:
    """Take a photo into the window of the atlas.

    Args:
        photo: (H, W, 3) the whole upright original.
        skin: (224, 224) 0..1, skin of the aligned crop.
    """
    places = locate_texels(atlas, face.shape, face.photo_camera, photo.shape)
    seen = sample_photo(atlas, face.shape, face.photo_camera, photo, places)
    found = evidence(seen, skin_of_texels(places, face, skin), atlas)
    return Observation(seen, found, places)


def skin_of_texels(places: TexelPlaces, face: PosedFace, skin: Tensor) -> Tensor:
    """(h, w) of a mask (H, W) of the aligned crop; 0 where a texel is not seen."""
    crop_from_photo = np.linalg.inv(face.photo_from_crop)
    flat = places.pixels.reshape(-1, 2).double().cpu().numpy()
    pixels = torch.from_numpy(transform_points(crop_from_photo, flat)).to(places.pixels)
    height, width = skin.shape
    in_crop = TexelPlaces(
        pixels.reshape(places.pixels.shape), places.weight, places.pixels_per_mm, (height, width)
    )
    return in_crop.read(skin[..., None].to(places.pixels))[..., 0]
