"""One person's traits and base shape: raw targets in combinations no basis holds, and a smooth warp."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from facemill.geometry.similarity import fit_similarity
from facemill.models.head_builder.parts import (
    LEFT_EYE,
    LOWER_TEETH,
    RIGHT_EYE,
    TONGUE,
    UPPER_TEETH,
    HeadParts,
)
from facemill.models.head_builder.people import with_inner_parts
from facemill.models.head_builder.sampling import People, sample_people, target_weights
from facemill.models.head_builder.skin_points import smooth_step
from facemill.synthesis.anatomy import Anatomy
from facemill.synthesis.hair import random_style

WAVELENGTHS = (15.0, 60.0)  # mm, of the warp
_WAVES = 48
_WARP_AMPLITUDE = (0.45, 0.95)  # mm rms of the whole vector, per person
_FREE_SHARE = 0.2  # standard deviation of each target by itself, as a share of its slider's
_SIDE_SHARE = 0.30  # of the difference between the sides; the builder of the basis has 0.15
#: Sliders which nothing measured calibrates, and which the eye finds odd sooner than the others.
_DAMPED = {
    "asym/": 0.5,
    "ears/ear-shape": 0.35,
    "ears/": 0.6,
    "mouth/mouth-angles": 0.5,
    "mouth/": 0.75,
    "nose/nose-point": 0.6,
    "nose/": 0.85,
    "eyebrows/": 0.6,
    "neck/": 0.8,
    "forehead/": 0.7,
}
_LID_CLEARANCE = (1.0, 9.0)  # mm from the eyeball: where the warp may begin to change its distance to the lid


@dataclass(frozen=True)
class Traits:
    """What a person's shape and colours follow.

    Attributes:
        male: 0 female .. 1 male.
        age: 0 young adult .. 1 old.
        ancestry: (3,) shares of African, Asian and Caucasian.
        weight, muscle: 0..1, 0.5 is average.
        hair: the style, a name of `hair.STYLES` or `bald`.
    """

    male: float
    age: float
    ancestry: NDArray[np.float64]
    weight: float
    muscle: float
    hair: str


def random_traits(random: np.random.Generator) -> Traits:
    """Draw one; half are men, ages lean to the young."""
    shift = min(0.45, abs(random.normal(0.0, 0.12)))
    male = float(1.0 - shift if random.random() < 0.5 else shift)
    age = float(random.beta(0.9, 1.9))
    ancestry = random.dirichlet([0.6] * 3)
    return Traits(
        male=male,
        age=age,
        ancestry=ancestry,
        weight=float(np.clip(random.normal(0.5, 0.18), 0, 1)),
        muscle=float(np.clip(random.normal(0.5, 0.18), 0, 1)),
        hair=random_style(male, age, float(ancestry[0]), random),
    )


def base_shape_of(anatomy: Anatomy, traits: Traits, random: np.random.Generator) -> NDArray[np.float64]:
    """Base vertices (N, 3) of a neutral person, millimetres, aligned to the mean, lips closed.

    Shape = MakeHuman's macros by the traits + calibrated sliders + every target a little by itself (opposites
    at once, beyond both ends, each side for itself) + a smooth warp. The last two are in no slider, hence in
    no principal component of sliders.
    """
    targets, calibration = anatomy.targets, anatomy.calibration
    deviations = _damped_deviations(anatomy)
    people = _one_person(traits, deviations, calibration.size_deviation, random)
    weights = target_weights(people, targets.modifiers, calibration.slider_means, targets.names)
    weights[0] += _free_weights(anatomy, deviations, random)
    shape = targets.weighted(weights)[0] * people.size[0] * calibration.size_mean
    rows = anatomy.face_rows
    aligned = fit_similarity(shape[rows], anatomy.base_mean[rows], with_scale=False).apply(shape)
    warped = aligned + warp(aligned, anatomy.parts, random)
    warped = fit_similarity(warped[rows], anatomy.base_mean[rows], with_scale=False).apply(warped)
    return with_inner_parts(anatomy.seal(warped), anatomy.parts)


def warp(shape: NDArray, parts: HeadParts, random: np.random.Generator) -> NDArray[np.float64]:
    """A band-limited random displacement (N, 3), under which eyeballs and teeth only shift.

    Next to an eyeball the part that would change the distance to it is left out, so that lids go on fitting.
    """
    shortest, longest = np.log(WAVELENGTHS)
    wavelength = np.exp(random.uniform(shortest, longest, _WAVES))
    direction = random.normal(size=(_WAVES, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    amplitude = random.normal(size=(_WAVES, 3)) * np.sqrt(wavelength / wavelength.mean())[:, None]
    amplitude *= random.uniform(*_WARP_AMPLITUDE) * np.sqrt(2.0 / (amplitude**2).sum())
    phase = random.uniform(0, 2 * np.pi, _WAVES)
    waves = direction * (2 * np.pi / wavelength)[:, None]

    def field(points: NDArray) -> NDArray[np.float64]:
        return np.cos(points @ waves.T + phase) @ amplitude

    moved = field(shape)
    for eye in (LEFT_EYE, RIGHT_EYE):
        ball = parts.vertices_of(eye)
        centre, low, high = (f(shape[ball], axis=0) for f in (np.mean, np.min, np.max))
        shift = field(centre[None])[0]
        offset = shape - centre
        distance = np.linalg.norm(offset, axis=1)
        outward = offset / np.maximum(distance, 1e-9)[:, None]
        free = smooth_step(distance - 0.5 * (high - low).mean(), *_LID_CLEARANCE)
        radial = ((moved - shift) * outward).sum(axis=1)
        moved -= ((1 - free) * radial)[:, None] * outward
        moved[ball] = shift
    inner = parts.vertices_of(UPPER_TEETH, LOWER_TEETH, TONGUE)
    moved[inner] = field(shape[inner].mean(axis=0, keepdims=True))
    return moved


def _damped_deviations(anatomy: Anatomy) -> NDArray[np.float64]:
    """(modifiers,) standard deviations; the first name of `_DAMPED` that fits counts."""
    factors = [
        next((factor for start, factor in _DAMPED.items() if modifier.name.startswith(start)), 1.0)
        for modifier in anatomy.targets.modifiers
    ]
    return anatomy.calibration.deviations * factors


def _one_person(
    traits: Traits, deviations: NDArray, size_deviation: float, random: np.random.Generator
) -> People:
    drawn = sample_people(1, deviations, size_deviation, random)
    spread = float(
        np.exp(random.normal(-0.2, 0.15))
    )  # some faces are all average, some are full of character
    return replace(
        drawn,
        male=np.array([traits.male]),
        ancestry=traits.ancestry[None],
        old=np.array([traits.age]),
        muscle=np.array([traits.muscle]),
        weight=np.array([traits.weight]),
        sliders=drawn.sliders.clip(-2.0 * deviations, 2.0 * deviations) * spread,
        sides=drawn.sides * (_SIDE_SHARE / 0.15),
    )


def _free_weights(anatomy: Anatomy, deviations: NDArray, random: np.random.Generator) -> NDArray[np.float64]:
    """(T,) a weight for each local target by itself, of either sign."""
    deviation = np.zeros(len(anatomy.targets.names))
    column = {name: index for index, name in enumerate(anatomy.targets.names)}
    for modifier, spread in zip(anatomy.targets.modifiers, deviations, strict=True):
        for name in (*modifier.plus, *modifier.minus):
            if name:
                deviation[column[name]] = _FREE_SHARE * spread
    return random.normal(size=len(deviation)).clip(-2.2, 2.2) * deviation
