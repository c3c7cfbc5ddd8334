"""Results under the NoW protocol beside that of the mean face on the same pictures: the ratio that counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from facemill.evaluation.breakdown import groups_of
from facemill.evaluation.histograms import Histograms, read_histograms
from facemill.evaluation.settings import NowSettings
from facemill.runtime.files import write_text
from facemill.runtime.inputs import read_json_object
from facemill.runtime.tables import read_csv

MEAN_FACE = "mean_face"
ALIKE = ("dataset", "protocol", "visible_only")  # of results that can be compared

COLUMNS = (
    "evaluation",
    "floor",
    "column",
    "group",
    "median",
    "floor_median",
    "ratio",
    "ratio_error",
    "people",
    "cases",
)


class NowFiles(NamedTuple):
    """What `evaluate_now` wrote of one evaluation: JSON, CSV and NPZ."""

    name: str
    summary: str | Path
    cases: str | Path
    histograms: str | Path


class _Result(NamedTuple):
    name: str
    summary: Mapping[str, Any]
    table: pd.DataFrame
    histograms: Histograms


def floor_ratios(evaluations: Iterable[NowFiles], settings: NowSettings) -> pd.DataFrame:
    """One row per evaluation that has a floor, and group of pictures: all, each challenge, the breakdown.

    The floor of an evaluation is the first one whose predictions are `mean_face`, on the same data set, under
    the same protocol, both with or both without hidden vertices. A ratio is that of the pooled medians over
    the pictures that both scored; its error is the standard deviation over draws of people, drawn alike for
    both.

    Returns:
        Table with `COLUMNS`, distances in mm; empty without a floor.
    Raises:
        FormatError: a file is not what `evaluate_now` writes.
    """
    results = [_read(files) for files in evaluations]
    rows = []
    for result in results:
        floor = _floor_of(result, results)
        if floor is not None:
            rows += list(_rows(result, floor, settings))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def write_floor(path: str | Path, table: pd.DataFrame) -> None:
    """Write the table (CSV)."""
    write_text(path, table.to_csv(index=False, float_format="%.5f", lineterminator="\n"))


def _floor_of(result: _Result, others: Iterable[_Result]) -> _Result | None:
    def alike(other: _Result) -> bool:
        return all(other.summary[key] == result.summary[key] for key in ALIKE)

    if result.summary["predictions"] == MEAN_FACE:
        return None
    return next((o for o in others if o.summary["predictions"] == MEAN_FACE and alike(o)), None)


def _rows(result: _Result, floor: _Result, settings: NowSettings) -> Iterator[tuple[Any, ...]]:
    table = result.table
    groups = [("", "all", table.index.tolist())]
    challenges = list(dict.fromkeys(table["challenge"]))
    if len(challenges) > 1:
        groups += [
            ("challenge", name, table.index[table["challenge"] == name].tolist()) for name in challenges
        ]
    groups += list(groups_of(table, settings))
    for column, group, cases in groups:
        ratio = result.histograms.of(cases).ratio_to(floor.histograms, settings.draws, settings.seed)
        if ratio.cases:
            figures = (ratio.median, ratio.other_median, ratio.ratio, ratio.error)
            yield (result.name, floor.name, column, group, *figures, ratio.people, ratio.cases)


def _read(files: NowFiles) -> _Result:
    expected, remedy = "a result of evaluate_now", "run the evaluation again"
    summary = read_json_object(files.summary, expected, remedy, (*ALIKE, "predictions"))
    kinds = {"case": str, "challenge": str}
    table = read_csv(files.cases, f"{expected}, a row per case", remedy, tuple(kinds), dtype=kinds)
    table = table.set_index("case")
    return _Result(files.name, summary, table, read_histograms(files.histograms))
