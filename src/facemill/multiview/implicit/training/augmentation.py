"""Views of a patch made worse: other brightness, blurred, noisy, partly covered, a little out of place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from facemill.multiview.implicit.settings import ImplicitAugmentationSettings

FLAT_NOISE = 0.01  # largest standard deviation of the noise of a patch without texture
LEAST_BLUR = 0.3  # px: less is none


def kept_views(count: int, random: np.random.Generator, settings: ImplicitAugmentationSettings) -> NDArray:
    """(V,) bool: which of `count` views stay."""
    kept = np.ones(count, dtype=bool)
    if random.random() < settings.dropped and count > settings.least_views:
        number = int(random.integers(settings.least_views, count + 1))
        kept[random.permutation(count)[number:]] = False
    return kept


def shifted(
    matrix: NDArray[np.float64], halvings: int, random: np.random.Generator, deviation: float
) -> NDArray[np.float64]:
    """The matrix (3, 4) of a view whose points lie off by a random shift, px of the whole picture."""
    right, down = random.normal(0, deviation, 2) / (1 << halvings) if deviation else np.zeros(2)
    return np.asarray(np.array([[1, 0, right], [0, 1, down], [0, 0, 1]]) @ matrix)


def worsened(
    picture: Tensor, flat: bool, random: np.random.Generator, settings: ImplicitAugmentationSettings
) -> Tensor:
    """One view (1, 3, H, W), colours 0..1, with gains, blur, cover and noise drawn from `random`.

    Args:
        flat: the picture becomes its mean colour and noise.
    """
    generator = torch.Generator().manual_seed(int(random.integers(1 << 31)))
    if flat:
        mean = picture.mean(dim=(2, 3), keepdim=True).expand_as(picture)
        return _noisy(mean, FLAT_NOISE * float(random.random()), generator)
    gains = np.exp(random.normal(0, settings.gain) + random.normal(0, settings.colour_gain, 3))
    result = picture * torch.tensor(gains, dtype=picture.dtype)[:, None, None].to(picture.device)
    blur = settings.blur * random.random() if random.random() < settings.blurred else 0.0
    if blur > LEAST_BLUR:
        result = _blurred(result, blur)
    if random.random() < settings.hidden:
        result = _covered(result, random)
    return _noisy(result, settings.noise * float(random.random()), generator)


def crop_box(
    pixels: Sequence[Tensor], size: tuple[int, int], margin: int, multiple: int
) -> tuple[int, int, int, int] | None:
    """(left, top, right, bottom) of a picture of `size` (height, width) around pixels; None: beside it.

    Args:
        pixels: of shape (..., 2), NaN allowed. margin: px around them. multiple: of left and top.
    """
    flat = torch.cat([part.reshape(-1, 2) for part in pixels])
    flat = flat[torch.isfinite(flat).all(dim=-1)]
    if not len(flat):
        return None
    low, high = flat.amin(dim=0).floor() - margin, flat.amax(dim=0).ceil() + margin + 1
    left, top = (max(0, int(value) // multiple * multiple) for value in low)
    right, bottom = min(int(high[0]), size[1]), min(int(high[1]), size[0])
    if right - left < 2 or bottom - top < 2:
        return None
    return left, top, right, bottom


def _noisy(picture: Tensor, deviation: float, generator: torch.Generator) -> Tensor:
    noise = torch.randn(picture.shape, generator=generator).to(picture)
    return (picture + deviation * noise).clamp(0, 1)


def _blurred(picture: Tensor, deviation: float) -> Tensor:
    radius = max(1, round(2.5 * deviation))
    offsets = torch.arange(-radius, radius + 1, dtype=picture.dtype, device=picture.device)
    kernel = torch.exp(-0.5 * (offsets / deviation) ** 2)
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
    padded = functional.pad(picture, (radius, radius, radius, radius), mode="replicate")
    across = functional.conv2d(padded, kernel, groups=3)
    return functional.conv2d(across, kernel.transpose(2, 3), groups=3)


def _covered(picture: Tensor, random: np.random.Generator) -> Tensor:
    """A rectangle of a quarter to two thirds of each side shows another place of the picture, mirrored."""
    height, width = picture.shape[2:]
    tall, wide = (max(1, int(side * random.uniform(0.25, 0.66))) for side in (height, width))
    rows = random.integers(0, height - tall + 1, 2)
    columns = random.integers(0, width - wide + 1, 2)
    result = picture.clone()
    source = picture[:, :, rows[1] : rows[1] + tall, columns[1] : columns[1] + wide]
    result[:, :, rows[0] : rows[0] + tall, columns[0] : columns[0] + wide] = source.flip(3)
    return result
