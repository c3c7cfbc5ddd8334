"""Patches of examples: which there are, in which order they come, and what is done to them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from facemill.multiview.mesoscopic.examples import CHANNELS, METRIC, RELIEF, ZONE
from facemill.multiview.mesoscopic.settings import MesoscopicAugmentationSettings
from facemill.multiview.mesoscopic.spec import channels
from facemill.runtime.files import load_array
from facemill.runtime.seeds import generator_of
from facemill.training.order import EpochOrder

LEAST_SHARE = 0.25  # of a patch's texels that are in the zone and known
UNEVEN_TEXELS = (3, 12)  # wave length, roughly, of the unevenness that is added


class PatchSet(Dataset):
    """Squares of examples, `stride` texels apart, that show enough of the face; arrays stay on disk.

    An index (number, position) gives the patch of a number, moved by up to half of the stride as the position
    in the order says.

    Args:
        examples: `.npy` files; names: of their captures.
    """

    def __init__(
        self, examples: Sequence[Path], names: Sequence[str], patch: int, stride: int, seed: int
    ) -> None:
        self.patch, self.stride, self.seed = patch, stride, seed
        self.names = list(names)
        self.arrays = [
            load_array(path, "an example of train_mesoscopic", "delete it and train again", mapped=True)
            for path in examples
        ]
        self.places: list[tuple[int, int, int]] = []
        for number, array in enumerate(self.arrays):
            useful = np.isfinite(array[RELIEF]) & (array[ZONE] > 0)
            height, width = useful.shape
            for top in _starts(height, patch, stride):
                for left in _starts(width, patch, stride):
                    share = useful[top : top + patch, left : left + patch].mean()
                    if share >= LEAST_SHARE:
                        self.places.append((number, top, left))

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: tuple[int, int]) -> dict[str, Any]:
        number, position = index
        capture, top, left = self.places[number]
        array = self.arrays[capture]
        moved = generator_of(self.seed, "patch", str(position)).integers(
            -(self.stride // 2), self.stride // 2 + 1, 2
        )
        row, column = (
            int(np.clip(start + move, 0, max(0, side - self.patch)))
            for start, move, side in zip((top, left), moved, array.shape[1:], strict=True)
        )
        part = np.asarray(array[:, row : row + self.patch, column : column + self.patch], dtype=np.float32)
        return {"maps": _padded(part, self.patch), "number": number}

    def capture_of(self, number: int) -> str:
        """The capture of a patch."""
        return self.names[self.places[number][0]]


class PatchOrder(EpochOrder):
    """As `EpochOrder`, each patch with its position in the order, which moves it."""

    def __iter__(self) -> Iterator[list[Any]]:
        share = self.batch // self.world
        for step in range(self.first, self.last):
            begin = step * self.batch + self.rank * share
            yield [(self.image_at(position), position) for position in range(begin, begin + share)]


def collate_patches(samples: list[dict[str, Any]]) -> dict[str, Tensor]:
    """maps: (B, C, p, p) float32; numbers: (B,) int64."""
    return {
        "maps": torch.from_numpy(np.stack([sample["maps"] for sample in samples])),
        "numbers": torch.tensor([sample["number"] for sample in samples]),
    }


def augmented(maps: Tensor, seeds: Sequence[int], settings: MesoscopicAugmentationSettings) -> Tensor:
    """Examples (B, C, h, w) with what is drawn for each seed: mirrored, tinted, worse, more uneven.

    A patch is mirrored wherever it lies, as the same place of the mirrored face would be: the network does
    not know where on the face it is.
    """
    return torch.stack([_augmented(one, seed, settings) for one, seed in zip(maps, seeds, strict=True)])


def mirrored(maps: Tensor) -> Tensor:
    """An example (C, h, w) of the mirrored face."""
    flipped = maps.flip(-1).clone()
    for channel in (channels("normals").start, channels("response").start, METRIC.start + 1):
        flipped[channel] = -flipped[channel]
    return flipped


def _augmented(maps: Tensor, seed: int, settings: MesoscopicAugmentationSettings) -> Tensor:
    random = np.random.default_rng(seed)
    drawn = random.random(10)
    result = mirrored(maps) if drawn[0] < settings.flip else maps.clone()
    colour, contrast = channels("colour"), channels("contrast")
    factor = (1 + settings.gain * (2 * drawn[1] - 1)) * (1 + settings.colour * (2 * drawn[2:5] - 1))
    result[colour] = (result[colour] * torch.from_numpy(factor).to(result)[:, None, None]).clamp(0, 1)
    if drawn[5] < settings.degraded:
        blurred, noisy = drawn[6] < 0.6, drawn[6] > 0.4
        generator = torch.Generator().manual_seed(seed % (1 << 31))
        if blurred and settings.blur * drawn[7] > 0.2:
            both = torch.cat((result[colour], result[contrast]))
            both = _blurred(both, settings.blur * float(drawn[7]))
            result[colour], result[contrast] = both[:3], both[3:]
        if noisy:
            shape = result[contrast].shape
            noise = torch.randn(shape, generator=generator).to(result) * settings.noise * float(drawn[8])
            seen = result[channels("seen")]
            result[contrast] += noise * seen
            result[colour] = (result[colour] * (1 + noise * seen)).clamp(0, 1)
    if settings.uneven > 0:
        unevenness = _unevenness(result.shape[1], result.shape[2], random) * settings.uneven * drawn[9]
        added = torch.from_numpy(unevenness).to(result)
        result[channels("bump")] += added
        result[channels("match")] -= added * (result[channels("match_confidence")] > 0)
        result[RELIEF] -= added
    return result


def _unevenness(height: int, width: int, random: np.random.Generator) -> NDArray[np.float32]:
    """(height, width) smooth noise of standard deviation 1, of one length at random."""
    length = math.exp(random.uniform(math.log(UNEVEN_TEXELS[0]), math.log(UNEVEN_TEXELS[1])))
    shape = (2 + math.ceil(height / length), 2 + math.ceil(width / length))
    coarse = torch.from_numpy(random.standard_normal(shape).astype(np.float32))[None, None]
    fine = functional.interpolate(coarse, scale_factor=length, mode="bicubic", align_corners=False)
    part = fine[0, 0, :height, :width].numpy()
    return np.asarray(part / max(float(part.std()), 1e-6))


def _blurred(maps: Tensor, deviation: float) -> Tensor:
    """(C, h, w) blurred by a Gaussian; the border repeats."""
    radius = max(1, round(2.5 * deviation))
    offsets = torch.arange(-radius, radius + 1, dtype=maps.dtype, device=maps.device)
    kernel = torch.exp(-0.5 * (offsets / deviation) ** 2)
    kernel = kernel / kernel.sum()
    wide = functional.pad(maps[:, None], (radius, radius, radius, radius), mode="replicate")
    wide = functional.conv2d(wide, kernel[None, None, :, None])
    return functional.conv2d(wide, kernel[None, None, None, :])[:, 0]


def _starts(length: int, patch: int, stride: int) -> list[int]:
    """Where patches begin: every `stride`, the last one ends with the map."""
    if length <= patch:
        return [0]
    starts = list(range(0, length - patch, stride))
    return [*starts, length - patch]


def _padded(part: NDArray[np.float32], patch: int) -> NDArray[np.float32]:
    """A patch of full size: beyond a smaller map nothing is known."""
    height, width = part.shape[1:]
    if (height, width) == (patch, patch):
        return part
    full = np.zeros((CHANNELS, patch, patch), dtype=np.float32)
    full[RELIEF] = np.nan
    full[METRIC.start] = full[METRIC.stop - 1] = 1.0
    full[:, :height, :width] = part
    return full
