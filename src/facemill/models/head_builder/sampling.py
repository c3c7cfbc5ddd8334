"""Random people: weights of MakeHuman's targets, calibrated to published anthropometry."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_OPPOSITES = (
    ("decr", "incr"),
    ("down", "up"),
    ("in", "out"),
    ("backward", "forward"),
    ("concave", "convex"),
    ("compress", "uncompress"),
)
_ANCESTRIES = ("african", "asian", "caucasian")


@dataclass(frozen=True)
class Modifier:
    """A slider: weight w > 0 adds w times `plus`, w < 0 adds |w| times `minus`.

    Attributes:
        name: folder and name, without side.
        plus, minus: names of targets, one per side of the face (or one for both); "" where there is none.
        deviation: standard deviation of the slider before calibration.
    """

    name: str
    plus: tuple[str, ...]
    minus: tuple[str, ...]
    deviation: float


@dataclass(frozen=True)
class People:
    """Who is sampled, N people.

    Attributes:
        male: (N,) 0 female .. 1 male.
        ancestry: (N, 3) shares of African, Asian and Caucasian; rows sum to 1.
        old: (N,) 0 young adult .. 1 old.
        muscle, weight: (N,) 0..1, 0.5 is average.
        size: (N,) factor of the whole head.
        sliders: (N, modifiers) symmetric weights.
        sides: (N, modifiers, 2) weights added on each side, for the difference between the sides.
    """

    male: NDArray[np.float64]
    ancestry: NDArray[np.float64]
    old: NDArray[np.float64]
    muscle: NDArray[np.float64]
    weight: NDArray[np.float64]
    size: NDArray[np.float64]
    sliders: NDArray[np.float64]
    sides: NDArray[np.float64] = field(repr=False)


def modifiers_of(
    targets: Mapping[str, NDArray], largest_deviation: float, largest_movement: float
) -> list[Modifier]:
    """Pair opposite targets and the two sides into sliders.

    Args:
        targets: `folder/name` -> (N, 3) millimetres.
        largest_deviation: of a slider; targets are meant for weights up to 1.
        largest_movement: of any vertex at one standard deviation, millimetres.
    """
    pairs = _opposite_pairs(targets)
    groups: dict[str, list[tuple[str, str]]] = {}
    for minus, plus in pairs:
        folder, name = plus.split("/")
        bare = re.sub(r"-[lr]$", "", name) if folder == "asym" else re.sub(r"^[lr]-", "", name)
        groups.setdefault(f"{folder}/{bare}", []).append((minus, plus))
    modifiers = []
    for name, members in groups.items():
        if name.startswith("asym/"):
            plus_targets: tuple[str, ...] = (members[0][1],)
            minus_targets: tuple[str, ...] = (members[1][1],)
        else:
            plus_targets = tuple(plus for _, plus in members)
            minus_targets = tuple(minus for minus, _ in members)
        used = [target for target in (*plus_targets, *minus_targets) if target]
        movement = max(float(np.linalg.norm(targets[target], axis=1).max()) for target in used)
        deviation = min(largest_deviation, largest_movement / movement)
        modifiers.append(Modifier(name, plus_targets, minus_targets, deviation))
    return modifiers


def sample_people(
    count: int, deviations: NDArray, size_deviation: float, random: np.random.Generator
) -> People:
    """Draw people; sliders have mean 0 and the given standard deviations, cut at 3 of them.

    Every second person is a man, so that means by sex rest on equal numbers.
    """
    shift = np.abs(random.normal(0.0, 0.12, count)).clip(0, 0.45)
    male = np.where(np.arange(count) % 2 == 0, 1.0 - shift, shift)
    sliders = random.normal(size=(count, len(deviations))).clip(-3, 3) * deviations
    sides = random.normal(size=(count, len(deviations), 2)).clip(-3, 3) * (0.15 * deviations[:, None])
    return People(
        male=male,
        ancestry=random.dirichlet([0.6] * 3, count),
        old=random.beta(0.8, 2.4, count),
        muscle=random.normal(0.5, 0.16, count).clip(0, 1),
        weight=random.normal(0.5, 0.16, count).clip(0, 1),
        size=1.0 + size_deviation * random.normal(size=count).clip(-3, 3),
        sliders=sliders,
        sides=sides,
    )


def target_weights(
    people: People, modifiers: list[Modifier], slider_means: NDArray, names: list[str]
) -> NDArray[np.float64]:
    """Weights (N, targets) of the targets `names`.

    Args:
        slider_means: (2, modifiers) what women and men have on average, added in proportion to `people.male`.
    """
    column = {name: index for index, name in enumerate(names)}
    weights = np.zeros((len(people.male), len(names)))
    _add_macros(weights, column, people)
    share = people.male[:, None]
    sliders = people.sliders + (1 - share) * slider_means[0] + share * slider_means[1]
    for index, modifier in enumerate(modifiers):
        for side, (plus, minus) in enumerate(zip(modifier.plus, modifier.minus, strict=True)):
            value = sliders[:, index]
            if len(modifier.plus) > 1:
                value = value + people.sides[:, index, side]
            if minus:
                weights[:, column[minus]] += np.maximum(-value, 0)
                weights[:, column[plus]] += np.maximum(value, 0)
            else:
                weights[:, column[plus]] += 0.5 * np.abs(value)
    return weights


def _opposite_pairs(targets: Mapping[str, NDArray]) -> list[tuple[str, str]]:
    """(minus, plus) of every target; minus is "" where a target has no opposite."""
    pairs: list[tuple[str, str]] = []
    used: set[str] = set()
    for name in targets:
        if name in used:
            continue
        pair = ("", name)
        for low, high in _OPPOSITES:
            for ending, other in ((low, high), (high, low)):
                if name.endswith(f"-{ending}") and name[: -len(ending)] + other in targets:
                    partner = name[: -len(ending)] + other
                    pair = (name, partner) if ending == low else (partner, name)
        used.update(pair)
        pairs.append(pair)
    return pairs


def _add_macros(weights: NDArray, column: dict[str, int], people: People) -> None:
    """MakeHuman's macros are products of shares: ancestry x sex x age, and sex x age x muscle x weight."""
    for sex, sex_share in (("male", people.male), ("female", 1 - people.male)):
        for age, age_share in (("young", 1 - people.old), ("old", people.old)):
            both = sex_share * age_share
            for index, ancestry in enumerate(_ANCESTRIES):
                weights[:, column[f"{ancestry}-{sex}-{age}"]] += both * people.ancestry[:, index]
            for muscle, muscle_share in _three_steps(people.muscle, "muscle"):
                for weight, weight_share in _three_steps(people.weight, "weight"):
                    name = f"universal-{sex}-{age}-{muscle}-{weight}"
                    weights[:, column[name]] += both * muscle_share * weight_share


def _three_steps(value: NDArray, name: str) -> list[tuple[str, NDArray]]:
    return [
        (f"min{name}", np.maximum(0, 1 - 2 * value)),
        (f"average{name}", 1 - np.abs(2 * value - 1)),
        (f"max{name}", np.maximum(0, 2 * value - 1)),
    ]
