"""Photos in the atlas made worse: other colours, blurred, noisy, blocky, partly hidden, mirrored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from facemill.detail.atlas import DetailAtlas
from facemill.detail.networks.spec import INPUTS
from facemill.detail.training_settings import DetailAugmentationSettings

BLOCK = 8
SYMMETRIC = 0.5  # mm: mean distance of mirrored positions below which an atlas counts as symmetric
NUMBERS = 12


@dataclass(frozen=True)
class Augmentation:
    """What is done to B faces.

    flip: (B,) bool; gain: (B, 3) of the colours; blur: (B,) standard deviation, texels; noise: (B,) standard
    deviation, colours; blocks: (B,) contrast within blocks that is lost; noise_seeds: (B,) of the noise;
    hidden: (B, 4) centre (row, column) and half axes of an ellipse, shares of the window; axes of 0: none.
    """

    flip: Tensor
    gain: Tensor
    blur: Tensor
    noise: Tensor
    blocks: Tensor
    noise_seeds: Tensor
    hidden: Tensor


def draw_augmentation(seeds: list[int], settings: DetailAugmentationSettings) -> Augmentation:
    """One draw per seed, on the CPU: the same whatever the device and the number of processes.

    A degraded photo has one of blur, noise and blocks, or two of them.
    """
    rows = np.stack([np.random.default_rng(seed).random(NUMBERS) for seed in seeds])
    spread = torch.from_numpy(rows)
    degraded = spread[:, 1] < settings.degraded
    kind = (spread[:, 2] * 6).long()  # blur, noise, blocks, blur + noise, blur + blocks, noise + blocks
    none = torch.zeros(len(rows), dtype=torch.float64)

    def amount(column: int, largest: float, kinds: tuple[int, ...]) -> Tensor:
        chosen = degraded & torch.isin(kind, torch.tensor(kinds))
        return torch.where(chosen, largest * spread[:, column], none)

    size = torch.where(spread[:, 6] < settings.erased, 0.1 + 0.25 * spread[:, 7], none)
    return Augmentation(
        flip=spread[:, 0] < settings.flip,
        gain=(1 + settings.gain * (2 * spread[:, 8:9] - 1)).expand(-1, 3),
        blur=amount(3, settings.blur, (0, 3, 4)),
        noise=amount(4, settings.noise, (1, 3, 5)),
        blocks=amount(5, settings.blocks, (2, 4, 5)),
        noise_seeds=torch.tensor([seed % (1 << 31) for seed in seeds]),
        hidden=torch.stack((spread[:, 9], spread[:, 10], size, size * (0.5 + spread[:, 11])), dim=1),
    )


def degrade(colours: Tensor, weight: Tensor, drawn: Augmentation) -> Tensor:
    """Colours (B, h, w, 3) with what was drawn of gain, blur, noise and blocks; 0..1.

    Args:
        weight: (B, h, w): only texels above 0 are mixed by the blur.
    """
    device = colours.device
    result = colours * drawn.gain.to(colours)[:, None, None]
    for row in range(len(colours)):
        picture = result[row]
        if drawn.blur[row] > 0.3:
            picture = _blurred(picture, weight[row] > 0, float(drawn.blur[row]))
        if drawn.blocks[row] > 0:
            picture = _blocky(picture, float(drawn.blocks[row]))
        if drawn.noise[row] > 0:
            generator = torch.Generator().manual_seed(int(drawn.noise_seeds[row]))
            noise = torch.randn(picture.shape, generator=generator).to(device, picture.dtype)
            picture = picture + float(drawn.noise[row]) * noise
        result[row] = picture
    return result.clamp(0, 1)


def hidden_texels(drawn: Augmentation, height: int, width: int, device: torch.device) -> Tensor:
    """(B, height, width) bool: the ellipses that hide a part of a face."""
    rows = torch.linspace(0, 1, height, device=device)[None, :, None]
    columns = torch.linspace(0, 1, width, device=device)[None, None]
    numbers = drawn.hidden.to(device, torch.float32)[..., None, None]
    row, column, tall, wide = numbers.unbind(1)
    distance = ((rows - row) / tall.clamp(min=1e-6)) ** 2 + ((columns - column) / wide.clamp(min=1e-6)) ** 2
    return (distance < 1) & (tall > 0)


class Mirror:
    """Mirrors window maps about the middle of the face.

    Args:
        columns: (w,) int64: which column each one becomes; -1 for none.
    """

    def __init__(self, columns: Tensor) -> None:
        self.valid = (columns >= 0) & (columns < len(columns))
        self.columns = torch.where(self.valid, columns, torch.zeros_like(columns))
        signs = {name: torch.ones(count) for name, count in INPUTS.items()}
        signs["normals"][0] = -1  # x runs to the image right, and so do columns
        signs["response"][0] = signs["slope"][0] = -1
        self.signs = torch.cat([signs[name] for name in INPUTS])

    def inputs(self, inputs: Tensor, flip: Tensor) -> Tensor:
        """Network inputs (B, 15, h, w), mirrored where `flip` (B,)."""
        return self._where(flip, inputs, self.signs.to(inputs))

    def output(self, output: Tensor, flip: Tensor) -> Tensor:
        """A network's output (B, C, h, w), mirrored back."""
        return self._where(flip, output, output.new_ones(output.shape[1]))

    def _where(self, flip: Tensor, maps: Tensor, signs: Tensor) -> Tensor:
        chosen = torch.nonzero(flip)[:, 0].to(maps.device)
        columns, valid = self.columns.to(maps.device), self.valid.to(maps.device)
        mirrored = maps.index_select(0, chosen).index_select(3, columns) * valid * signs[:, None, None]
        return maps.index_copy(0, chosen, mirrored)


def mirror_of(atlas: DetailAtlas, mean_shape: Tensor) -> Mirror | None:
    """How the window is mirrored; None where the atlas is not symmetric to half a millimetre.

    Args:
        mean_shape: (V, 3) of the neutral mean face.
    """
    positions = atlas.smooth_positions(mean_shape.cpu())
    inside = atlas.mask.cpu() > 0
    width = inside.shape[1]
    best, found = SYMMETRIC, None
    for twice in range(width // 2, width + width // 2):  # twice the column of the middle
        columns = twice - torch.arange(width)
        valid = (columns >= 0) & (columns < width)
        safe = columns.clamp(0, width - 1)
        both = inside & inside[:, safe] & valid
        if int(both.sum()) < 0.9 * int(inside.sum()):
            continue
        mirrored = positions[:, safe] * positions.new_tensor([-1.0, 1.0, 1.0])
        distance = float((mirrored - positions)[both].norm(dim=-1).mean())
        if distance < best:
            best, found = distance, torch.where(valid, columns, torch.full_like(columns, -1))
    return None if found is None else Mirror(found)


def _blurred(picture: Tensor, seen: Tensor, deviation: float) -> Tensor:
    """(h, w, 3) blurred by a Gaussian, seen texels (h, w) mixed among themselves."""
    radius = max(1, round(2.5 * deviation))
    offsets = torch.arange(-radius, radius + 1, dtype=picture.dtype, device=picture.device)
    kernel = torch.exp(-0.5 * (offsets / deviation) ** 2)
    kernel = kernel / kernel.sum()
    weight = seen.to(picture.dtype)[..., None]
    maps = torch.cat((picture * weight, weight), dim=-1).permute(2, 0, 1)[:, None]
    maps = functional.conv2d(maps, kernel[None, None, :, None], padding=(radius, 0))
    maps = functional.conv2d(maps, kernel[None, None, None, :], padding=(0, radius))[:, 0]
    mixed = (maps[:3] / maps[3:].clamp(min=1e-3)).permute(1, 2, 0)
    return torch.where(seen[..., None], mixed, picture)


def _blocky(picture: Tensor, lost: float) -> Tensor:
    """(h, w, 3) without the part of the contrast within blocks of 8 texels that is fainter than `lost`."""
    height, width = picture.shape[:2]
    blocks = picture.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK, 3)
    mean = blocks.mean((1, 3), keepdim=True)
    contrast = blocks - mean
    kept = contrast.sign() * (contrast.abs() - lost).clamp(min=0)
    return (mean + kept).reshape(height, width, 3)
