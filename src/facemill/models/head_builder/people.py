"""From sliders to base-level shapes of people, calibrated to published anthropometry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facemill.models.head_builder.anthropometry import place_measurements, read_anthropometry
from facemill.models.head_builder.calibration import Calibration, calibrate, published_of
from facemill.models.head_builder.parts import LOWER_TEETH, TONGUE, UPPER_TEETH, HeadParts
from facemill.models.head_builder.sampling import Modifier, People, modifiers_of, target_weights
from facemill.models.head_builder.settings import HeadSettings
from facemill.models.head_builder.source import BaseMesh

#: Shift (x, y, z) and breadth of teeth and tongue against MakeHuman's: behind closed lips, seen in a smile.
_INNER_PARTS = {
    UPPER_TEETH: ((0.0, -3.0, -1.5), 0.92),
    LOWER_TEETH: ((0.0, -2.5, -2.5), 0.90),
    TONGUE: ((0.0, -3.0, -6.0), 0.90),
}


@dataclass(frozen=True)
class TargetShapes:
    """MakeHuman's targets as a function: people -> shapes, N vertices, T targets.

    Attributes:
        neutral: (N, 3) the base mesh, millimetres.
        names: T names of targets, `folder/name` or a macro's name.
        offsets: (T, N, 3) millimetres at weight 1.
        modifiers: the sliders over the local targets.
    """

    neutral: NDArray[np.float64]
    names: list[str]
    offsets: NDArray[np.float32]
    modifiers: list[Modifier]

    def __call__(self, people: People, slider_means: NDArray) -> NDArray[np.float64]:
        """Shapes (people, N, 3); `slider_means` (2, modifiers) of women and men."""
        weights = target_weights(people, self.modifiers, slider_means, self.names)
        return self.weighted(weights) * people.size[:, None, None]

    def weighted(self, weights: NDArray) -> NDArray[np.float64]:
        """Shapes (P, N, 3) of weights (P, T) of the targets."""
        flat = self.offsets.reshape(len(self.names), -1)
        return self.neutral + (weights.astype(np.float32) @ flat).reshape(len(weights), -1, 3)

    def at(self, vertices: NDArray) -> TargetShapes:
        """The same function for some of the vertices."""
        return replace(self, neutral=self.neutral[vertices], offsets=self.offsets[:, vertices])


def target_shapes(
    neutral: NDArray,
    local_targets: Mapping[str, NDArray],
    macros: Mapping[str, NDArray],
    settings: HeadSettings,
) -> TargetShapes:
    """Gather the targets at the N vertices `neutral` (N, 3); offsets (N, 3) by name."""
    targets = {**local_targets, **macros}
    modifiers = modifiers_of(local_targets, settings.largest_slider_deviation, settings.largest_movement)
    return TargetShapes(neutral, list(targets), np.stack(list(targets.values())), modifiers)


def calibration_of(
    shapes: TargetShapes, parts: HeadParts, anthropometry: str | Path, random: np.random.Generator
) -> Calibration:
    """Calibrate on the few vertices that are measured: a second instead of minutes.

    Raises:
        FormatError: the table is broken.
    """
    measure = place_measurements(parts, shapes.neutral)
    measured = np.flatnonzero((measure.difference != 0).any(axis=0))
    published = published_of(read_anthropometry(anthropometry), measure.names)
    few = replace(measure, difference=measure.difference[:, measured])
    return calibrate(shapes.modifiers, shapes.at(measured), few, published, random)


def average_person(mesh: BaseMesh, macros: Mapping[str, NDArray]) -> NDArray[np.float64]:
    """A young adult halfway between the sexes and ancestries (19158, 3); `macros` of the whole mesh."""
    person = mesh.vertices.copy()
    for sex in ("male", "female"):
        person += 0.5 * macros[f"universal-{sex}-young-averagemuscle-averageweight"]
        for ancestry in ("african", "asian", "caucasian"):
            person += 0.5 / 3 * macros[f"{ancestry}-{sex}-young"]
    return person


def with_inner_parts(shape: NDArray, parts: HeadParts) -> NDArray[np.float64]:
    """Teeth and tongue of a shape (N, 3) a little smaller and further back than MakeHuman has them."""
    moved = shape.copy()
    for part, (shift, breadth) in _INNER_PARTS.items():
        mine = parts.vertices_of(part)
        moved[mine] = shape[mine] * [breadth, 1.0, 1.0] + np.array(shift)
    return moved
