"""Views of one sitting that are looked at together: which there are, and which a step sees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facemill.coarse.training.batches import View
from facemill.runtime.errors import FormatError
from facemill.runtime.seeds import seed_of
from facemill.training.order import EpochOrder

NOBODY = -1
SYNTHETIC_FLAG = 2  # light and expression are the same and poses neighbours: everything may be compared
WIDEST_STEP = 40.0  # degrees of yaw between neighbours that still see enough of each other
COLUMNS = ("source1", "target", "source2")


def tuples_of_sittings(table: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Tuples (T, 3) of rows and their flags (T,), by the true yaw of synthetic photos.

    Within a sitting every photo is the target of its two neighbours in yaw, the first and the last of three
    or more being targets of nobody; two photos are one pair. Neighbours more than 40 degrees apart are none.

    Args:
        table: with `person`, `sitting` and `yaw` (degrees).

    >>> rows = {"person": ["a"] * 4, "sitting": ["0", "0", "0", "1"], "yaw": [30.0, -10.0, 10.0, 0.0]}
    >>> tuples_of_sittings(pd.DataFrame(rows))[0].tolist()
    [[1, 2, 0]]
    """
    found = []
    sittings = table.groupby(["person", "sitting"], sort=False).ngroup().to_numpy()
    for sitting in range(sittings.max(initial=-1) + 1):
        rows = np.flatnonzero(sittings == sitting)
        yaw = table["yaw"].to_numpy(dtype=float)[rows]
        order = np.argsort(yaw, kind="stable")
        ascending = rows[order]
        near = np.diff(yaw[order]) <= WIDEST_STEP
        targets = range(1, len(rows) - 1) if len(rows) > 2 else range(len(rows) - 1)
        for place in targets:
            before = ascending[place - 1] if place and near[place - 1] else NOBODY
            after = ascending[place + 1] if near[place] else NOBODY
            if before != NOBODY or after != NOBODY:
                found.append((before, ascending[place], after))
    tuples = np.array(found, dtype=np.int64).reshape(-1, 3)
    return tuples, np.full(len(tuples), SYNTHETIC_FLAG, dtype=np.int64)


def tuples_of_table(
    photos: Sequence[str], tuples: pd.DataFrame
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Tuples (T, 3) of rows of `photos` and their flags (T,), as `group_people` found them.

    Photos that are not among `photos` count as none; tuples without a target or any source are left out.

    Raises:
        FormatError: a column is missing.
    """
    missing = [name for name in (*COLUMNS, "flag") if name not in tuples.columns]
    if missing:
        raise FormatError(
            "the table of tuples has no column " + missing[0],
            ", ".join((*COLUMNS, "flag")),
            ", ".join(map(str, tuples.columns)) or "none",
            "run group_people again",
        )
    row_of = {photo: row for row, photo in enumerate(photos)}
    rows = [[row_of.get(str(photo), NOBODY) for photo in tuples[name]] for name in COLUMNS]
    found = np.array(rows, dtype=np.int64).reshape(3, -1).T
    kept = (found[:, 1] != NOBODY) & (found[:, [0, 2]] != NOBODY).any(1)
    return found[kept], tuples["flag"].to_numpy(dtype=np.int64)[kept]


class TupleOrder(EpochOrder):
    """Which images each step sees when a part of each batch is made of tuples.

    A process' share of a batch begins with its tuples, three images each: source, target, source. A tuple
    without one source has in its place a single image from an order of its own. The rest are single images.
    Tuples and images have permutations of their own, pure functions of seed and step as in `EpochOrder`.

    Args:
        tuples: (T, 3) and flags (T,) of `PackedShards`.
        per_step: tuples of each step over all processes; the rest as in `EpochOrder`.
    """

    def __init__(
        self,
        tuples: NDArray[np.int64],
        flags: NDArray[np.int64],
        per_step: int,
        count: int,
        batch: int,
        seed: int,
        first: int,
        last: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        super().__init__(count, batch, seed, first, last, rank, world)
        if per_step % world or 3 * per_step > batch:
            raise ValueError(
                f"per_step: expected a multiple of the {world} processes up to {batch // 3}, found {per_step}"
            )
        self.tuples, self.flags, self.per_step = tuples, flags, per_step
        self._chosen = EpochOrder(len(tuples), 1, seed_of(seed, "tuples"), 0, 0)
        self._fillers = EpochOrder(count, 1, seed_of(seed, "fillers"), 0, 0)

    def __iter__(self) -> Iterator[list[int | View]]:
        tuples = self.per_step // self.world
        singles = self.batch // self.world - 3 * tuples
        for step in range(self.first, self.last):
            views: list[int | View] = []
            begin = step * self.per_step + self.rank * tuples
            for place, position in enumerate(range(begin, begin + tuples)):
                views += self._views(position, 3 * place + 1)
            begin = (step * self.world + self.rank) * singles
            views += [self.image_at(position) for position in range(begin, begin + singles)]
            yield views

    def _views(self, position: int, row: int) -> list[View]:
        """The three images of a tuple whose target is in `row` of the batch."""
        chosen = self._chosen.image_at(position)
        before, target, after = (int(number) for number in self.tuples[chosen])
        flag = int(self.flags[chosen])
        filler = self._fillers.image_at(position)
        sources = [View(n, row, flag) if n != NOBODY else View(filler) for n in (before, after)]
        return [sources[0], View(target), sources[1]]
