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
KINDS = ("expression", "occluders")  # columns of words; each word is a group
NONE = "none"


def groups_of(truth: pd.DataFrame, settings: NowSettings) -> Iterator[tuple[str, str, list[str]]]:
    """(column, group, cases) for each group that `truth` (of `read_truth`) knows, in a fixed order."""
    if YAW in truth:
        size = truth[YAW].abs()
        for low, high in pairwise(settings.yaw_bins):
            inside = (size >= low) & ((size < high) | ((high == settings.yaw_bins[-1]) & (size == high)))
            yield YAW, f"{low:g}-{high:g}", truth.index[inside].tolist()
    for column in KINDS:
        if column in truth:
            words = truth[column].fillna(NONE).astype(str).replace("", NONE)
            for word in sorted(words.unique(), key=lambda word: (word != NONE, word)):
                yield column, word, truth.index[words == word].tolist()


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
