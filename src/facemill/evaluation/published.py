"""Published figures as data, and figures measured here beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from facemill.evaluation.settings import CompareSettings
from facemill.runtime.errors import FormatError
from facemill.runtime.files import write_text
from facemill.runtime.inputs import decoding, read_json_object
from facemill.runtime.tables import as_numbers, read_csv

COLUMNS = (
    "protocol",
    "dataset",
    "split",
    "method",
    "variant",
    "subset",
    "metric",
    "unit",
    "value",
    "images",
    "source",
)
COMPARISON_COLUMNS = (
    "protocol",
    "dataset",
    "split",
    "subset",
    "metric",
    "unit",
    "method",
    "published",
    "here_original_data",
    "here_synthetic_data",
    "here_other_data",
    "source",
)
_WORDS = {
    "original": "measured here, on what its owner says is the original data set",
    "synthetic": "measured here, on synthetic data: not comparable with published figures",
    "other": "measured here, on other data: not comparable with published figures",
}


class Figure(NamedTuple):
    """One number of a result: which images, what it is, its unit."""

    subset: str
    metric: str
    unit: str
    value: float


def read_published(folder: str | Path) -> pd.DataFrame:
    """All published figures of `folder`/*.csv, with `COLUMNS`; texts are never NaN, `images` may be.

    Raises:
        FormatError: no file, other columns, a value that is no number, or a row without a source.
    """
    paths = sorted(Path(folder).glob("*.csv"))
    if not paths:
        raise FormatError(
            f"{folder} holds no published figures", "*.csv files", "none", "restore resources/published"
        )
    tables = []
    for path in paths:
        expected = "a table of published figures"
        table = read_csv(path, expected, "restore resources/published", dtype=str, keep_default_na=False)
        if tuple(table.columns) != COLUMNS:
            raise FormatError(
                f"{path} has other columns",
                ", ".join(COLUMNS),
                ", ".join(table.columns),
                "correct its first line",
            )
        numbers = as_numbers(table[["value", "images"]])
        values = numbers["value"]
        bad = values.isna() | (table["source"].str.strip() == "")
        if bad.any():
            row = int(bad.to_numpy().argmax())
            raise FormatError(
                f"{path}, line {row + 2}",
                "a number and a source",
                ",".join(table.iloc[row]),
                "complete the row",
            )
        tables.append(table.assign(value=values, images=numbers["images"]))
    return pd.concat(tables, ignore_index=True)


def now_medians(published: pd.DataFrame) -> list[tuple[str, float]]:
    """(name, median mm) of each NoW result that its authors published, over all challenges, best first."""
    rows = published.query(
        "protocol == 'now' and metric == 'median' and subset == 'all' and split != 'validation'"
    )
    names = (rows["method"] + " " + rows["variant"]).str.strip()
    return sorted(zip(names, rows["value"].astype(float), strict=True), key=lambda item: item[1])


def compare_methods(
    results: Mapping[str, str | Path], published: pd.DataFrame, settings: CompareSettings
) -> pd.DataFrame:
    """Figures measured here beside the published ones of the same protocol, one row per figure.

    A figure measured here stands in one of three columns, by the data it was measured on; the column
    `published` holds published figures only.

    Args:
        results: name of the evaluation → JSON of `evaluate_now`, `evaluate_landmarks` or `evaluate_scan`. The
            name stands in the column `method`, because the predictions may be anybody's.
        published: of `read_published`.
    Returns:
        Table with `COMPARISON_COLUMNS`, sorted by protocol, subset and metric; published rows first. All
        protocols with a result here are in it; the others are left out.
    Raises:
        FormatError: a file is not a result of ours.
    """
    ours = [row for name, path in results.items() for row in _own_rows(name, Path(path))]
    wanted = {row["protocol"] for row in ours}
    theirs = published[published["protocol"].isin(wanted)].rename(columns={"value": "published"})
    theirs = theirs.assign(method=(theirs["method"] + " " + theirs["variant"]).str.strip())
    table = pd.concat([theirs, pd.DataFrame(ours)], ignore_index=True).reindex(
        columns=list(COMPARISON_COLUMNS)
    )
    order = ["protocol", "subset", "metric"]
    table = table.sort_values(order, kind="stable", ignore_index=True)
    return table.round(dict.fromkeys(COMPARISON_COLUMNS[7:11], settings.digits))


def comparison_notes(table: pd.DataFrame) -> list[str]:
    """Sentences for the reader of the table."""
    notes = []
    if table["here_synthetic_data"].notna().any():
        notes.append("Synthetic data are no benchmark: those figures only compare versions of this program.")
    if table["here_other_data"].notna().any():
        notes.append("Some figures were measured on data other than the benchmark's; see the column source.")
    if table["here_original_data"].notna().any():
        notes.append("Published figures may be about another split than ours; see the column split.")
    return notes


def write_comparison(table: pd.DataFrame, table_path: str | Path, notes_path: str | Path) -> None:
    """Write the table (CSV) and the sentences about it (text, one per line)."""
    write_text(table_path, table.to_csv(index=False, lineterminator="\n"))
    write_text(notes_path, "".join(f"{note}\n" for note in comparison_notes(table)))


def figures_of(result: Mapping[str, Any]) -> list[Figure]:
    """The figures of one result that have published counterparts, by its protocol."""
    if result["protocol"] in ("now", "now_metrical"):
        groups = {"all": result, **result["challenges"]}
        return [
            Figure(subset, metric, "mm", group[metric])
            for subset, group in groups.items()
            for metric in ("median", "mean", "std")
            if group[metric] is not None
        ]
    if result["protocol"] == "landmarks":
        values = {**{f"yaw {name}": entry["nme"] for name, entry in result["yaw"].items()}}
        values |= {"balanced": result["balanced_nme"], "all": result["nme"]}
        return [
            Figure(subset, "nme", "percent", value) for subset, value in values.items() if value is not None
        ]
    if result["protocol"] == "facescape_benchmark":
        units = {"chamfer_distance": "mm", "normal_error": "rad", "completeness": "share"}
        return [
            Figure(subset, metric, unit, means[metric])
            for subset, means in result["subsets"].items()
            for metric, unit in units.items()
            if means[metric] is not None
        ]
    if result["protocol"] in ("micc", "shape_error"):
        values = {metric: result[metric] for metric in ("mean", "std")}
        return [Figure("all", metric, "mm", value) for metric, value in values.items() if value is not None]
    if result["protocol"] == "detail":
        groups = {"all": result, **result["regions"], **result["wrinkles"]}
        return [
            Figure(subset, f"{metric}_{surface}", unit, group[metric][surface])
            for subset, group in groups.items()
            for metric, unit in (
                ("distance", "mm"),
                ("normal_error", "degrees"),
                ("detail_distance", "mm"),
                ("detail_normal_error", "degrees"),
            )
            for surface in ("coarse", "fine")
            if group[metric][surface] is not None
        ]
    return [
        Figure("all", f"chamfer_{name}", "mm", result["chamfer"][name]) for name in ("mean", "median", "p90")
    ]


def _own_rows(name: str, path: Path) -> Iterable[dict[str, Any]]:
    expected, remedy = "a result of an evaluation", "run the evaluation again"
    result = read_json_object(path, expected, remedy, ("protocol", "origin"))
    with decoding(path, f"{expected}, with its figures", remedy):
        column = f"here_{result['origin']}_data"
        figures = figures_of(result)
        words = _WORDS[result["origin"]]
    for figure in figures:
        yield {
            "protocol": result["protocol"],
            "dataset": "",
            "split": "",
            "subset": figure.subset,
            "metric": figure.metric,
            "unit": figure.unit,
            "method": name,
            column: figure.value,
            "source": words,
        }
