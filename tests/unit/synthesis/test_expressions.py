"""Random expressions: possible ones only, and lips that stay apart."""

import numpy as np
import pytest

from facemill.runtime.seeds import generator_of
from facemill.synthesis.expressions import (
    BLENDSHAPE_NAMES,
    EXPRESSIONS,
    KINDS,
    random_expression,
    strengths_of,
)


def test_names_are_those_of_the_head(population):
    assert population.blendshape_names == BLENDSHAPE_NAMES
    assert len(EXPRESSIONS) == 20


@pytest.mark.parametrize("kind", [*KINDS, *EXPRESSIONS])
def test_strengths_lie_between_0_and_1_and_repeat(kind):
    first, second = (random_expression(generator_of(3, kind), kind) for _ in range(2))
    assert first.shape == (52,) and first.min() >= 0 and first.max() <= 1
    assert np.array_equal(first, second)


def test_no_eye_stares_and_blinks_and_both_look_one_way():
    place = {name: index for index, name in enumerate(BLENDSHAPE_NAMES)}
    for number in range(300):
        drawn = random_expression(generator_of(number, "mix"), "strong")
        for side in ("Left", "Right"):
            assert drawn[place[f"eyeBlink{side}"]] * drawn[place[f"eyeWide{side}"]] == 0
        assert drawn[place["eyeLookUpLeft"]] == drawn[place["eyeLookUpRight"]]
        assert drawn[place["eyeLookOutRight"]] == drawn[place["eyeLookInLeft"]]
        assert drawn[place["eyeLookOutRight"]] * drawn[place["eyeLookOutLeft"]] == 0


def test_strong_is_stronger_than_mild():
    mean = {
        kind: np.mean([random_expression(generator_of(n, kind), kind).sum() for n in range(100)])
        for kind in KINDS
    }
    assert mean["neutral"] < mean["mild"] < mean["strong"]


def test_lips_do_not_pass_through_each_other(population):
    anatomy, person = population.anatomy, population.person(4)
    for name in ("lip_roll", "anger", "chin_raiser", "cheek_blowing", "lip_puckerer"):
        shape = population.base_shape(person, random_expression(generator_of(0, name), name))
        assert (shape[:, 1] @ anatomy.seal.gap.T).min() > -1.0
    pressed = person.base_shape.copy()
    pressed[:, 1] += 3.0 * anatomy.seal.fields.sum(axis=0) * -1.0  # each lip 1.5 mm into the other
    assert (pressed[:, 1] @ anatomy.seal.gap.T).min() < -1.5
    assert (anatomy.lips_apart(pressed)[:, 1] @ anatomy.seal.gap.T).min() > -0.6


def test_a_mapping_is_the_same_as_an_array(population):
    strengths = np.zeros(52)
    strengths[BLENDSHAPE_NAMES.index("jawOpen")] = 0.4
    person = population.person(5)
    assert np.array_equal(population.shape(person, {"jawOpen": 0.4}), population.shape(person, strengths))


def test_unknown_words_are_named():
    with pytest.raises(ValueError, match=r"kind: expected one of neutral, .* found 'yawn'"):
        random_expression(generator_of(0, "x"), "yawn")
    with pytest.raises(ValueError, match="unknown jawopen"):
        strengths_of({"jawopen": 1.0}, BLENDSHAPE_NAMES)
    with pytest.raises(ValueError, match=r"expected shape \(52,\), found \(51,\)"):
        strengths_of(np.zeros(51), BLENDSHAPE_NAMES)
