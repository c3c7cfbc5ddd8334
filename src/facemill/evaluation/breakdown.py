"""Figures by what is known about the pictures: the turn of the head, the expression, what hides the face."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from facemill.evaluation.histograms import Histograms, Pooled
from facemill.evaluation.settings import NowSettings

YAW = "yaw"
EXPRESSION = "expression"  # a word
OCCLUDERS = "occluders"  # names, such as `glasses_round hand_chin`: the part before _ says the kind
NONE = "none"


def groups_of(truth: pd.DataFrame, settings: NowSettings) -> Iterator[tuple[str, str, list[str]]]:
    """(column, group, cases) for each group that `truth` (of `read_truth`) knows, in a fixed order.

    Turn of the head by bins, expressions, and kinds of what hides the face.
    """
    if YAW in truth:
        size = truth[YAW].abs()
        for low, high in pairwise(settings.yaw_bins):
            inside = (size >= low) & ((size < high) | ((high == settings.yaw_bins[-1]) & (size == high)))
            yield YAW, f"{low:g}-{high:g}", truth.index[inside].tolist()
    if EXPRESSION in truth:
        yield from _by_word(EXPRESSION, truth[EXPRESSION].fillna("").astype(str).map(lambda word: {word}))
    if OCCLUDERS in truth:
        kinds = (
            truth[OCCLUDERS]
            .fillna("")
            .astype(str)
            .map(lambda names: {name.partition("_")[0] for name in names.split()} or {""})
        )
        yield from _by_word(OCCLUDERS, kinds)


def _by_word(column: str, words: pd.Series) -> Iterator[tuple[str, str, list[str]]]:
    """A group per word of sets of words; a picture with several is in several; `none` comes first."""
    for word in sorted(set().union(*words)):
        inside = words.map(lambda found, word=word: word in found).astype(bool)
        yield column, word or NONE, words.index[inside].tolist()


def breakdown(
    histograms: Histograms, truth: pd.DataFrame, settings: NowSettings
) -> dict[str, dict[str, dict[str, Any]]]:
    """Column → group → figures (`plain`); groups without a scored case are left out."""
    result: dict[str, dict[str, dict[str, Any]]] = {}
    for column, group, cases in groups_of(truth, settings):
        part = histograms.of(cases)
        if len(part.cases):
            result.setdefault(column, {})[group] = plain(part.pooled(settings.draws, settings.seed))
    return result


def plain(pooled: Pooled) -> dict[str, Any]:
    """Figures for JSON; what is no number becomes None."""
    return {
        name: None if isinstance(value, float) and not np.isfinite(value) else value
        for name, value in pooled._asdict().items()
    }
