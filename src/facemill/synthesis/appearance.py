"""Colours of synthetic people: complexions that go with ancestry, sex and age, painted with fine detail."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facemill.models.head_builder.skin import Complexion, paint, random_complexion
from facemill.synthesis.hair import BALD

if TYPE_CHECKING:
    from facemill.synthesis.identities import Person, Population
    from facemill.synthesis.individuals import Traits

_MELANIN = np.array([0.95, 0.32, 0.16])  # of African, Asian and Caucasian ancestry
_GREY = np.array([0.55, 0.55, 0.54])


def complexion_of(traits: Traits, random: np.random.Generator) -> Complexion:
    """Draw colours that go with a person's ancestry, sex and age."""
    drawn = random_complexion(random)
    melanin = float(np.clip(traits.ancestry @ _MELANIN * np.exp(random.normal(0, 0.35)), 0.02, 1.4))
    grey = float(np.clip((traits.age - random.uniform(0.3, 0.9)) / 0.3, 0, 1))
    dark = float(np.clip((melanin - 0.25) / 0.3, 0, 1))
    hair = drawn.hair * (1 - dark) + np.array([0.06, 0.05, 0.045]) * dark
    thin = traits.hair in (BALD, "bald_top", "receding")
    woman = traits.male < 0.5
    return replace(
        drawn,
        melanin=melanin,
        hair=hair * (1 - grey) + _GREY * grey,
        iris=drawn.iris * (1 - dark) + np.array([0.20, 0.12, 0.07]) * dark,
        stubble=0.0 if woman else drawn.stubble,
        moustache=0.0 if woman else drawn.moustache,
        lipstick=drawn.lipstick if woman else 0.0,
        eyelid_make_up=drawn.eyelid_make_up if woman else 0.0,
        brow_density=drawn.brow_density * (1 - 0.3 * grey),
        scalp_density=0.12 if thin else max(drawn.scalp_density, 0.7),
        freckles=drawn.freckles * (1 - dark),
    )


def vertex_colours(population: Population, person: Person, level: int = 0) -> NDArray[np.float32]:
    """Colours (n, 3) of a person on a surface of the population, 0..1, file values.

    Level 0 are the model's own vertices, finer ones those of `population.finer(level)`.
    """
    return paint(population.finer(level).points, person.complexion, person.random("skin"))
