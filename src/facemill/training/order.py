"""Which images each step of a training sees: a pure function of seed and step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Sampler

from facemill.runtime.seeds import generator_of, seed_of


class EpochOrder(Sampler[list[Any]]):
    """Which images each step sees: a fresh permutation per epoch, as a pure function of seed and step.

    So a run that goes on at step n sees what an unbroken run would have seen. Each of W processes takes its
    slice of the global batch. The permutations follow one another without a gap: a batch may span two epochs.

    Args:
        count: images; batch: per step over all processes; steps: `first` .. `last` - 1 are given.
    """

    def __init__(
        self, count: int, batch: int, seed: int, first: int, last: int, rank: int = 0, world: int = 1
    ) -> None:
        if count < 1:
            raise ValueError(f"count: expected at least one image, found {count}")
        if batch % world:
            raise ValueError(f"batch: expected a multiple of the {world} processes, found {batch}")
        self.count, self.batch, self.seed = count, batch, seed
        self.first, self.last, self.rank, self.world = first, last, rank, world
        self._epoch, self._order = -1, np.zeros(0, dtype=np.int64)

    def __len__(self) -> int:
        return max(0, self.last - self.first)

    def __iter__(self) -> Iterator[list[Any]]:
        share = self.batch // self.world
        for step in range(self.first, self.last):
            begin = step * self.batch + self.rank * share
            yield [self.image_at(position) for position in range(begin, begin + share)]

    def image_at(self, position: int) -> int:
        """The image at a position in the orders of all epochs, one after another."""
        epoch, place = divmod(position, self.count)
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = self._permutation(generator_of(self.seed, "order", str(epoch)))
        return int(self._order[place])

    def _permutation(self, random: np.random.Generator) -> NDArray[np.int64]:
        """The images of an epoch, `count` of them, in their order."""
        return random.permutation(self.count)


def draw_seeds(seed: int, step: int, numbers: Tensor) -> list[int]:
    """A seed of its own for each image of a step, whichever process it is on."""
    return [seed_of(seed, "augment", str(step), str(int(number))) for number in numbers]
