"""How much a photo says about the relief of the skin, texel by texel: 0 nothing, 1 all that detail can use.

What the light does on wrinkles a millimetre or two wide is evidence of them; where the photo does not show
it there is none, and displacement there would be invention. Each reason is a factor of its own, and the
confidence is their product. The thresholds were measured (docs/export_detail.md has the figures).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter
from torch import Tensor

from facemill.detail.atlas import DetailAtlas
from facemill.detail.resample import UvPhoto

#: Between the first number a factor is 0, from the second on it is 1, with a smooth step between.
#: Weight of a texel ((cosine - 0.2) / 0.8): cosines of 0.28 and 0.52, angles of 74 and 59 degrees.
FACING = (0.1, 0.4)
#: Pixels of the photo a millimetre: eye distances of 20 and 42 pixels (62 mm apart, seen face on).
RESOLUTION = (0.32, 0.68)
#: Share of fine contrast in the face's contrast (`sharpness`).
SHARPNESS = (0.14, 0.30)
#: Skin probability, blurred over `SKIN_BLUR`: beside an edge of hair or glasses it is 0.5.
SKIN = (0.6, 0.92)
SKIN_BLUR = 1.5
#: Share of over- and underexposed texels around; levels of the second and of the brightest channel.
CLIPPED = (0.5, 0.1)
DARKEST, BRIGHTEST = 0.04, 0.975
CLIPPED_BLUR = 2.0
#: Millimetres from the next hidden texel.
BESIDE_HIDDEN = (1.0, 4.0)
#: Blurs (millimetres) whose differences are the fine and the coarse contrast: wavelengths 3..9 and 12..35 mm.
FINE, COARSE = (0.7, 1.4), (2.8, 5.6)
#: Blur over which local contrast is averaged, and the percentile of it that counts as noise.
LOCAL, NOISE_PERCENTILE = 4.0, 20.0
#: Coarse contrast (colours 0..1) below which there is no picture to be sharp: half a step of 8 bits.
LEAST_CONTRAST = 0.002
#: Least share of the face from which sharpness can be told.
LEAST_SHARE = 0.035


def evidence(uv_photo: UvPhoto, skin: Tensor, atlas: DetailAtlas) -> Tensor:
    """Confidence (h, w) 0..1 that the photo shows the relief of the skin at each texel.

    Args:
        uv_photo: of `sample_photo`.
        skin: (h, w) probability of skin, 0..1, 0 where not seen.
    """
    total = torch.ones_like(uv_photo.weight)
    for factor in evidence_terms(uv_photo, skin, atlas).values():
        total = total * factor
    return total


def evidence_terms(uv_photo: UvPhoto, skin: Tensor, atlas: DetailAtlas) -> dict[str, Tensor]:
    """The factors of `evidence` by name, each (h, w) 0..1.

    `facing`: seen, and not at a grazing angle; `beside_hidden`: away from what hides it; `resolution`: enough
    pixels; `sharpness`: one number for the photo; `exposure`: not over- or underexposed; `skin`: no hair,
    glasses or hand; `mask`: where the model's detail may be.
    """
    weight = uv_photo.weight.cpu().numpy()
    seen = weight > 0
    texel = atlas.texel
    # Skin in warm light overflows in red first; green and blue then still show the relief.
    levels = uv_photo.colours.sort(dim=-1).values.cpu().numpy()
    clipped = (levels[..., 1] >= BRIGHTEST) | (levels[..., 2] <= DARKEST)
    beside = distance_transform_edt(seen | (atlas.mask <= 0).cpu().numpy()) * texel
    factors = {
        "facing": _step(weight, *FACING),
        "beside_hidden": _step(beside, *BESIDE_HIDDEN) * seen,
        "resolution": _step(uv_photo.pixels_per_mm.cpu().numpy(), *RESOLUTION),
        "sharpness": _step(np.full(weight.shape, sharpness(uv_photo, atlas)), *SHARPNESS),
        "exposure": 1 - _step(_blurred(clipped, seen, CLIPPED_BLUR / texel), *reversed(CLIPPED)),
        "skin": _step(_blurred(skin.cpu().numpy(), seen, SKIN_BLUR / texel), *SKIN),
        "mask": atlas.mask.cpu().numpy(),
    }
    return {name: torch.from_numpy(values).to(uv_photo.weight) for name, values in factors.items()}


def sharpness(uv_photo: UvPhoto, atlas: DetailAtlas) -> float:
    """Contrast of 3 to 9 mm in the whole face as a share of that of 12 to 35 mm, without noise.

    In a sharp photo of a face the contrast of eyes, brows, lips and nostrils falls slowly with the scale, as
    in all natural pictures; blur takes the fine part away whatever the face is like. What the fine contrast
    has even in the smoothest fifth of the face counts as noise. 0 where too little of the face is seen.
    """
    seen = uv_photo.weight.cpu().numpy() > FACING[0]
    grey = uv_photo.colours.mean(dim=-1).cpu().numpy()
    texel = atlas.texel
    fine, coarse = (
        _blurred(grey, seen, low / texel) - _blurred(grey, seen, high / texel) for low, high in (FINE, COARSE)
    )
    inner = gaussian_filter(seen.astype(np.float32), LOCAL / texel) > 0.9
    if inner.sum() < LEAST_SHARE * int(atlas.window_raster.mask.sum()):
        return 0.0
    noise = np.percentile(_blurred(fine**2, inner, LOCAL / texel)[inner], NOISE_PERCENTILE)
    contrast = float((coarse[inner] ** 2).mean())
    if contrast < LEAST_CONTRAST**2:
        return 0.0
    return float(np.sqrt(max((fine[inner] ** 2).mean() - noise, 0.0) / contrast))


def _blurred(values: NDArray, known: NDArray, sigma: float) -> NDArray[np.float32]:
    """Gaussian mean over the known texels around; 0 where there are none."""
    weight = gaussian_filter(known.astype(np.float32), sigma)
    total = gaussian_filter(np.where(known, values, 0).astype(np.float32), sigma)
    return np.divide(total, weight, out=np.zeros_like(total), where=weight > 1e-6)


def _step(values: NDArray, low: float, high: float) -> NDArray[np.float64]:
    """0 below `low`, 1 above `high`, a smooth cubic between."""
    share = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(share * share * (3 - 2 * share))
