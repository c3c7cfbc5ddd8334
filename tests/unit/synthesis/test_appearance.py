"""Colours of synthetic people go with ancestry, sex and age."""

import numpy as np

from facemill.runtime.seeds import generator_of
from facemill.synthesis.appearance import complexion_of, vertex_colours
from facemill.synthesis.individuals import Traits, random_traits


def traits(**changes):
    base = {"male": 1.0, "age": 0.1, "ancestry": np.array([0.0, 0.0, 1.0]), "weight": 0.5, "muscle": 0.5}
    return Traits(**{**base, "hair": "short", **changes})


def drawn(count=60, **changes):
    return [complexion_of(traits(**changes), generator_of(n, "colours")) for n in range(count)]


def test_colours_are_the_same_each_time_and_within_range(population):
    person = population.person(3)
    first, second = (vertex_colours(population, person) for _ in range(2))
    assert first.tobytes() == second.tobytes()
    assert first.shape == (len(population.anatomy.mean), 3)
    assert first.min() >= 0.01 and first.max() <= 0.98
    assert not np.array_equal(first, vertex_colours(population, population.person(4)))


def test_ancestry_darkens_and_age_greys():
    african = np.mean([own.melanin for own in drawn(ancestry=np.array([1.0, 0.0, 0.0]))])
    european = np.mean([own.melanin for own in drawn()])
    assert african > 4 * european
    grey = [np.ptp(own.hair) < 0.05 and own.hair.mean() > 0.4 for own in drawn(age=1.0)]
    assert np.mean(grey) > 0.5
    assert np.mean([own.hair.mean() for own in drawn(age=0.0)]) < 0.35


def test_women_have_no_beards_and_men_no_lipstick():
    assert all(own.stubble == 0 and own.moustache == 0 for own in drawn(male=0.05))
    assert all(own.lipstick == 0 for own in drawn())
    assert any(own.stubble > 0.3 for own in drawn())


def test_traits_cover_sexes_ages_and_ancestries():
    people = [random_traits(generator_of(n, "traits")) for n in range(300)]
    assert 0.4 < np.mean([one.male > 0.5 for one in people]) < 0.6
    assert min(one.age for one in people) < 0.05 and max(one.age for one in people) > 0.85
    assert all(abs(one.ancestry.sum() - 1) < 1e-9 for one in people)
    assert len({one.hair for one in people}) > 10


def test_brows_are_darker_than_the_forehead_and_irises_than_the_white(population):
    person = next(p for p in map(population.person, range(20)) if p.complexion.hair.mean() < 0.15)
    colours, points = population.colours(person).mean(axis=1), population.finer(0).points
    brow = (points.brow.distance < 1.5) & (points.brow.share > 0.2) & (points.brow.share < 0.6)
    forehead = (
        (points.brow.distance > 12) & (points.brow.above > 12) & (points.face > 0) & (points.scalp < 0.1)
    )
    assert colours[brow].mean() < 0.8 * np.median(colours[forehead])
    white = (points.eyeball > 0.5) & (points.gaze > 0.5) & (points.gaze < 0.8)
    iris = (points.eyeball > 0.5) & (points.gaze > 0.2) & (points.gaze < 0.32)
    assert colours[iris].mean() < 0.7 * colours[white].mean()


def test_finer_surfaces_show_pores(population):
    person = population.person(9)
    coarse, fine = population.colours(person), population.colours(person, 1)
    count = len(coarse)
    assert len(fine) == len(population.finer(1).rest)
    skin = population.topology.regions["skin"].numpy()
    assert np.abs(fine[:count][skin] - coarse[skin]).mean() < 0.03
    pits = 1 - fine[:count][skin] / np.maximum(coarse[skin], 1e-6)
    assert np.percentile(pits, 99) > 0.02
