"""The evaluations of the report: figures, ratios to the mean face, breakdowns, curves, heat maps, and others'
published figures beside ours where the data set is the original one."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from facemill.report.evaluation_inputs import EvaluationResult
from facemill.report.pictures import EmbeddedPicture, embed, read_picture
from facemill.report.sections import Page, Section

NOW = ("now", "now_metrical")
CURVE_SIZE = (760, 470)
DATA = {"original": "original data", "synthetic": "synthetic data", "other": "other data"}
SOURCES = {"coarse": "ours, coarse", "mean_face": "the mean face"}
IDENTITIES = {
    "subject": "mean identity of a subject's photos",
    "person": "one identity fitted to a subject's photos",
    "start_mean": "mean identity that the fit of a person starts from",
    "start_best": "identity of a person's best photo",
    "start_landmarks": "identity by the landmarks of a person's photos",
    "start_network": "identity by the confidence network",
}
COLUMNS = {"yaw": "turn of the head, degrees", "expression": "expression", "occluders": "what hides the face"}
ORIGINAL = "here_original_data"


def evaluation_section(page: Page) -> Section | None:
    """Everything that the run measured against a truth."""
    found = page.inputs.evaluations
    if not found.results:
        return None
    now = [result for result in found.results if result.figures["protocol"] in NOW]
    others = [result for result in found.results if result.figures["protocol"] not in NOW]
    html = page.fill(
        "evaluation.html",
        now=[_now_row(result, found.floor) for result in now],
        others=[_other_row(result) for result in others],
        details=[_details(page, result, found.floor) for result in found.results],
        published=published_rows(found.comparison),
        notes=found.notes,
    )
    return Section("evaluation", "Evaluation", 10, html)


def published_rows(comparison: pd.DataFrame) -> list[dict[str, Any]]:
    """Published figures and ours on original data, of the protocols, subsets and metrics that have both.

    Figures on synthetic or other data are never among them.
    """
    if ORIGINAL not in comparison or comparison[ORIGINAL].isna().all():
        return []
    keys = ["protocol", "subset", "metric"]
    measured = comparison[comparison[ORIGINAL].notna()]
    both = comparison.merge(measured[keys].drop_duplicates(), on=keys)
    both = both[both["published"].notna() | both[ORIGINAL].notna()]
    both = both.assign(value=both["published"].fillna(both[ORIGINAL]), ours=both[ORIGINAL].notna())
    both = both.sort_values([*keys, "value"], kind="stable")
    names = [*keys, "method", "split", "unit", "value", "ours", "source"]
    rows = both[names].astype(object).where(both[names].notna(), "").to_dict("records")
    return [{str(key): value for key, value in row.items()} for row in rows]


def _now_row(result: EvaluationResult, floor: pd.DataFrame) -> dict[str, Any]:
    figures = result.figures
    ratio = _ratio(floor, result.name, "", "all")
    return {
        **_common(result),
        "metrical": figures["protocol"] == "now_metrical",
        "visible_only": figures["visible_only"],
        "median": with_error(figures["median"], figures["errors"]["median"]),
        "mean": with_error(figures["mean"], figures["errors"]["mean"]),
        "std": number(figures["std"]),
        "ratio": "" if ratio is None else with_error(ratio["ratio"], ratio["ratio_error"]),
        "counts": _counts(figures, "cases"),
    }


def _other_row(result: EvaluationResult) -> dict[str, Any]:
    return {
        **_common(result),
        "protocol": result.figures["protocol"],
        "figures": list(_plain(_brief(result.figures))),
    }


def _brief(figures: Mapping[str, Any]) -> Mapping[str, Any]:
    """The figures of a result; of the groups of an evaluation of detail only the ratio of distances."""
    if figures["protocol"] != "detail":
        return figures
    groups = {
        f"ratio of distances, {name}": group["distance"]["ratio"]
        for kind in ("regions", "wrinkles")
        for name, group in figures[kind].items()
    }
    return {key: value for key, value in figures.items() if key not in ("regions", "wrinkles")} | groups


def _plain(figures: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """(words, value) of every number of a result, nested ones with the names of their parents."""
    for key, value in figures.items():
        name = f"{prefix}{str(key).replace('_', ' ')}"
        if isinstance(value, Mapping):
            yield from _plain(value, f"{name} ")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield name, number(value)


def _common(result: EvaluationResult) -> dict[str, Any]:
    source, asked = str(result.figures.get("predictions", "")), result.figures.get("identity")
    identity = [IDENTITIES[asked]] if source == "coarse" and asked in IDENTITIES else []
    return {
        "name": result.name,
        "source": ": ".join([SOURCES.get(source, "a folder" if source else ""), *identity]),
        "data": DATA.get(result.figures["origin"], result.figures["origin"]),
    }


def _counts(figures: Mapping[str, Any], noun: str) -> str:
    words = f"{figures['scored']} of {figures[noun]}"
    for key in ("missing", "failed"):
        if figures.get(key):
            words += f", {figures[key]} {key}"
    return words


def _details(page: Page, result: EvaluationResult, floor: pd.DataFrame) -> dict[str, Any]:
    is_now = result.figures["protocol"] in NOW
    failed = result.figures.get("not_scored", {})
    shown = dict(list(failed.items())[: page.settings.max_rows])
    return {
        **_common(result),
        "breakdown": breakdown_rows(result, floor) if is_now else [],
        "curve": _curve(result),
        "pictures": [_heat_map(page, result, path) for path in result.pictures],
        "failed": list(shown.items()),
        "hidden": len(failed) - len(shown),
    }


def breakdown_rows(result: EvaluationResult, floor: pd.DataFrame) -> list[dict[str, Any]]:
    """Challenges, where there are several, then the breakdown; ratios where there is a floor."""
    figures = result.figures
    rows = []
    if len(figures["challenges"]) > 1:
        rows += [("challenge", name, group, None) for name, group in figures["challenges"].items()]
    for column, groups in figures.get("breakdown", {}).items():
        rows += [(column, name, group, group["median_error"]) for name, group in groups.items()]
    result_rows = []
    for column, name, group, error in rows:
        ratio = _ratio(floor, result.name, column, name)
        result_rows.append(
            {
                "column": COLUMNS.get(column, column),
                "group": name.replace("_", " "),
                "cases": group.get("scored", group.get("cases")),
                "median": with_error(group["median"], error),
                "mean": number(group["mean"]),
                "ratio": "" if ratio is None else with_error(ratio["ratio"], ratio["ratio_error"]),
                "floor": "" if ratio is None else number(ratio["floor_median"]),
            }
        )
    return result_rows


def _ratio(floor: pd.DataFrame, name: str, column: str, group: str) -> Mapping[Any, Any] | None:
    if floor.empty:
        return None
    chosen = floor[
        (floor["evaluation"].astype(str) == name)
        & (floor["column"].fillna("") == column)
        & (floor["group"].astype(str) == group)
    ]
    return None if chosen.empty else dict(chosen.iloc[0])


def _curve(result: EvaluationResult) -> EmbeddedPicture | None:
    if result.curve is None:
        return None
    content = base64.b64encode(result.curve.read_bytes()).decode("ascii")
    words = f"{result.name}: share of the scan's vertices by distance to the prediction"
    return EmbeddedPicture(f"data:image/svg+xml;base64,{content}", *CURVE_SIZE, words)


def _heat_map(page: Page, result: EvaluationResult, path: Any) -> EmbeddedPicture:
    shows = (
        "photo, true skin, coarse, fine" if result.kind == "detail" else "distances as colours on the scan"
    )
    words = f"{result.name}: {shows}, {path.stem}"
    return embed(read_picture(path), words, "", None, 840, page.settings.picture_quality)


def number(value: float | None) -> str:
    """A figure for people: counts whole, others with three decimals; a dash for none.

    >>> number(1234), number(0.12345), number(None)
    ('1,234', '0.123', '–')
    """
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def with_error(value: float | None, error: float | None) -> str:
    """A figure with its standard error, where it has one.

    >>> with_error(1.0, 0.02), with_error(1.0, None)
    ('1.000 ± 0.020', '1.000')
    """
    if error is None or not math.isfinite(error):
        return number(value)
    return f"{number(value)} ± {number(error)}"
