"""Colours of synthetic people: complexions that go with ancestry, sex and age, painted with fine detail."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facemill.models.head_builder.skin import Complexion, paint, random_complexion, smooth_noise
from facemill.models.head_builder.skin_points import SkinPoints, smooth_step
from facemill.runtime.seeds import seed_of
from facemill.synthesis.hair import BALD
from facemill.synthesis.relief import FINE, PORE_CELL, pores
from facemill.synthesis.surfaces import Surface

if TYPE_CHECKING:
    from facemill.synthesis.identities import Person, Population
    from facemill.synthesis.individuals import Traits

_MELANIN = np.array([0.90, 0.24, 0.09])  # of African, Asian and Caucasian ancestry
_GREY = np.array([0.55, 0.55, 0.54])
_BROW_LENGTH = 50.0  # mm


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
        haemoglobin=drawn.haemoglobin - 0.06,
        spots=min(1.0, drawn.spots * (0.6 + 1.2 * traits.age)),
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


def pore_seed(person: Person) -> int:
    """Of the pores, which colours and displacement share."""
    return seed_of(person.seed, "pores")


def vertex_colours(population: Population, person: Person, level: int = 0) -> NDArray[np.float32]:
    """Colours (n, 3) of a person on a surface of the population, 0..1, file values.

    The painted skin of the embedded head (`head_builder.skin`), with hairs in brows and beard, rays in the
    irises, and on finer surfaces pores: those of the person's displacement.

    Args:
        level: 0 are the model's own vertices, finer ones those of `population.finer(level)`.
    """
    surface, own = population.finer(level), person.complexion
    points, random = surface.points, person.random("details")
    soft = replace(own, brow_density=0.5 * own.brow_density, stubble=0.75 * own.stubble)
    colours = paint(points, soft, person.random("skin")).astype(np.float64)
    _draw_brows(colours, points, own, surface.spacing, random)
    _draw_irises(colours, points, random)
    if surface.spacing < FINE:
        _draw_pores(colours, surface, person)
    return np.clip(colours, 0.01, 0.98).astype(np.float32)


def _draw_brows(
    colours: NDArray, points: SkinPoints, own: Complexion, spacing: float, random: np.random.Generator
) -> None:
    """Hairs that rise at the nose and lie down outwards, as fine as the surface carries them."""
    rows = np.flatnonzero((points.brow.distance < 9.0) & (points.face > 0))
    share, above = points.brow.share[rows], points.brow.above[rows]
    centre = own.brow_height + own.brow_arch * np.sin(np.pi * np.clip(share, 0, 1)) ** 2
    half = 4.3 * own.brow_width * (1 - 0.62 * share) * smooth_step(share, -0.04, 0.10)
    beside = np.sqrt(np.maximum(points.brow.distance[rows] ** 2 - above**2, 0))
    across_brow = np.hypot(beside, above - centre)
    lean = np.radians(68.0 - 62.0 * np.clip(share * 1.6, 0, 1))
    run = _BROW_LENGTH * share
    across = (above - centre) * np.cos(lean) - run * np.sin(lean)
    wander = smooth_noise(points.position[rows], 2.4, random)
    width = max(0.8, 2.8 * spacing)
    contrast = 0.75 if spacing < FINE else 0.4  # a coarse mesh shows tufts, not hairs
    hairs = smooth_step(np.cos(2 * np.pi * across / width + 1.6 * wander) + 0.4 * wander, -0.5, 0.9)
    cover = smooth_step(half - across_brow + 0.8 * (hairs - 0.5), -1.3, 1.5) * (half > 0.2)
    share_of_hair = np.clip(own.brow_density * cover * (1 - contrast + contrast * hairs), 0, 0.92)[:, None]
    colours[rows] += (0.85 * own.hair - colours[rows]) * share_of_hair


def _draw_irises(colours: NDArray, points: SkinPoints, random: np.random.Generator) -> None:
    """Rays from pupil to rim, and red in the corners of the white."""
    waves = random.integers(7, 40, 8)
    phases = random.uniform(0, 2 * np.pi, 8)
    red = random.uniform(0.0, 0.10)
    for side in (-1.0, 1.0):
        ball = np.flatnonzero((points.eyeball > 0.5) & (side * points.position[:, 0] > 0))
        place, gaze = points.position[ball], points.gaze[ball]
        middle = 0.5 * (place.min(axis=0) + place.max(axis=0))
        angle = np.arctan2(place[:, 1] - middle[1], place[:, 0] - middle[0])
        rays = np.cos(angle[:, None] * waves + phases).sum(axis=1) / 2.0
        iris = smooth_step(0.39 - gaze, 0.0, 0.03) * smooth_step(gaze, 0.16, 0.22)
        colours[ball] *= (1 + 0.16 * iris * rays)[:, None]
        white = smooth_step(gaze, 0.5, 0.9) * red
        colours[ball] *= 1 - white[:, None] * np.array([0.1, 1.0, 0.9])


def _draw_pores(colours: NDArray, surface: Surface, person: Person) -> None:
    """Darker pores, and whiskers that come out of the skin one by one."""
    points = surface.points
    rows = np.flatnonzero((points.face > 0) & (points.eyeball + points.socket + points.mouth_pocket == 0))
    pits = pores(points.position[rows], PORE_CELL, 0.3, pore_seed(person))
    colours[rows] *= (1 - 0.07 * pits * (1 - points.lips[rows]))[:, None]
    own = person.complexion
    bearded = np.clip(own.stubble * points.beard[rows] + own.moustache * points.moustache[rows], 0, 1)
    whisker = pores(points.position[rows], 1.0, 0.27, pore_seed(person) + 7)
    share = np.clip(0.75 * np.sqrt(bearded) * whisker, 0, 0.85)[:, None]
    colours[rows] += (own.hair - colours[rows]) * share
