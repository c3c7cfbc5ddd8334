"""The files that trainings read and leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TrainingFiles:
    """Where the images of a training lie.

    Attributes:
        train, validation: folders of packed shards; one may be in both.
        held_out: names of photos that are not trained on; of shards in both, only these are validated on.
        left_out: (person, photo) of what may not stand for its person where several photos are looked at
            together.
    """

    train: Sequence[str]
    validation: Sequence[str]
    held_out: frozenset[str] = frozenset()
    left_out: frozenset[tuple[str, str]] = frozenset()

    @property
    def only_validated(self) -> frozenset[str]:
        """The folders of `validation` that are not trained on: all of their photos are validated on."""
        return frozenset(self.validation) - frozenset(self.train)


@dataclass(frozen=True)
class TrainingOutputs:
    """Files that a finished training leaves.

    Attributes:
        weights: the best weights, float16 safetensors with the network's description.
        metrics: CSV, the rows of the journal.
        faces: PNG, what the network makes of some of what it was not trained on.
        summary: JSON, how long the training was, on how much, and how good its best weights are.
    """

    weights: str | Path
    metrics: str | Path
    faces: str | Path
    summary: str | Path
