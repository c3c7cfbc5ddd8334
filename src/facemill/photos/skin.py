"""Probability of skin for each pixel of a crop, from its colour alone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from facemill.photos.pictures import picture_path, read_picture, write_picture
from facemill.photos.settings import SkinSettings
from facemill.runtime.settings import PhotoLimits
from facemill.runtime.tables import map_photos

# RGB 0..255 to Y'CbCr with Y in 16..235 (ITU-R BT.601), as Deep3DFaceReconstruction rounds its factors.
_YCBCR = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]) / 255
_YCBCR_OFFSET = np.array([16.0, 128.0, 128.0])

# Pixels at a time: intermediate arrays stay in the cache, three times faster than all at once, and products
# stay below the size (10 x 8 x BLOCK < 2^18) at which OpenBLAS starts threads, which costs more than they do.
BLOCK = 3136
# Subtracted from R, G and B before they are squared: single precision then leaves errors of 3e-5 in the
# posterior, a hundredth of a step of the mask.
CENTRE = 128


@dataclass(frozen=True)
class SkinMixture:
    """Two mixtures of Gaussians over (Y, Cb, Cr), written as polynomials of degree 2 in r = R - CENTRE, g, b.

    Attributes:
        polynomials: (2 C, 10) float32, coefficients of the log density of each component, without the common
            -1.5 log 2 pi; the first C rows are skin. Columns: rr, gg, bb, rg, rb, gb, r, g, b, 1.
    """

    polynomials: np.ndarray


def load_skin_mixture() -> SkinMixture:
    """The published mixture of Deep3DFaceReconstruction (four components each), from `skin_mixture.json`."""
    content = json.loads(files("facemill.photos").joinpath("skin_mixture.json").read_text(encoding="utf-8"))
    grey = _YCBCR @ np.full(3, float(CENTRE)) + _YCBCR_OFFSET
    rows = []
    for part in (content["skin"], content["other"]):
        components = zip(
            part["weights"],
            part["means"],
            part["covariance_determinants"],
            part["inverse_covariances"],
            strict=True,
        )
        for weight, mean, determinant, inverse in components:
            centre = np.linalg.solve(_YCBCR, np.array(mean) - grey)
            precision = _YCBCR.T @ np.array(inverse) @ _YCBCR
            precision = (precision + precision.T) / 2
            slope = precision @ centre
            constant = np.log(weight) - 0.5 * np.log(determinant) - 0.5 * centre @ slope
            (rr, rg, rb), (_, gg, gb), (_, _, bb) = precision
            rows.append([-rr / 2, -gg / 2, -bb / 2, -rg, -rb, -gb, *slope, constant])
    return SkinMixture(np.array(rows, dtype=np.float32))


def skin_posterior(image: np.ndarray, mixture: SkinMixture, prior: float = 0.8) -> np.ndarray:
    """Probability that each pixel is skin: prior p_skin / (prior p_skin + (1 - prior) p_other).

    Args:
        image: (..., 3) RGB 0..255.
        mixture: see `load_skin_mixture`.
        prior: probability of skin before the colour is seen (0.8 in the released code).
    Returns:
        (...) float32 in 0..1; never NaN: densities are compared as logarithms.
    """
    colours = np.asarray(image).reshape(-1, 3)
    posterior = np.empty(len(colours), np.float32)
    for start in range(0, len(colours), BLOCK):
        block = slice(start, start + BLOCK)
        posterior[block] = _block_posterior(colours[block], mixture, prior)
    return posterior.reshape(np.shape(image)[:-1])


def _block_posterior(colours: np.ndarray, mixture: SkinMixture, prior: float) -> np.ndarray:
    """`skin_posterior` of (N, 3) colours."""
    terms = np.ones((10, len(colours)), np.float32)
    rgb = terms[6:9]
    np.subtract(colours.T, CENTRE, out=rgb, dtype=np.float32, casting="unsafe")
    np.multiply(rgb, rgb, out=terms[:3])
    np.multiply(rgb[0], rgb[1:], out=terms[3:5])
    np.multiply(rgb[1], rgb[2], out=terms[5])
    logs = mixture.polynomials @ terms
    logs -= logs.max(axis=0)
    densities = np.exp(logs, out=logs)
    components = len(densities) // 2
    skin = prior * densities[:components].sum(axis=0)
    other = (1 - prior) * densities[components:].sum(axis=0)
    return skin / (skin + other)


def segment_skin(
    table: pd.DataFrame,
    crops: str | Path,
    masks: str | Path,
    settings: SkinSettings,
    limits: PhotoLimits | None = None,
) -> pd.DataFrame:
    """Write the skin mask of each `ok` row's crop: 8-bit, round(255 x posterior).

    Args:
        table: any table of the photo stages.
        crops: folder of the shard's crops, `<photo>.png`.
        masks: folder, which exists, for `<photo>.png`.
        limits: of one photo; see `map_photos`.
    Returns:
        `table` with `skin_share`: the share of the crop's pixels that are more likely skin than not.
    """
    mask = partial(
        _mask_skin, crops=Path(crops), masks=Path(masks), mixture=load_skin_mixture(), settings=settings
    )
    return map_photos(table, mask, ["skin_share"], limits=limits).astype({"skin_share": "float64"})


def _mask_skin(
    row: Mapping[str, Any], crops: Path, masks: Path, mixture: SkinMixture, settings: SkinSettings
) -> dict[str, float]:
    posterior = skin_posterior(read_picture(picture_path(crops, row["photo"])), mixture, settings.prior)
    write_picture(picture_path(masks, row["photo"]), np.rint(255 * posterior).astype(np.uint8))
    return {"skin_share": float((posterior > 0.5).mean())}
