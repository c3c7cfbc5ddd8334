"""What the report shows of evaluations: figures, curves, pictures, and the tables that compare them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from facemill.runtime.errors import FormatError


@dataclass(frozen=True)
class EvaluationResult:
    """One evaluation.

    Attributes:
        kind: the folder of its result: now, scans, landmarks, …
        name: in the configuration.
        figures: its JSON.
        curve: SVG, or None. pictures: PNG, from the best to the worst.
    """

    kind: str
    name: str
    figures: Mapping[str, Any]
    curve: Path | None
    pictures: tuple[Path, ...]


@dataclass(frozen=True)
class Evaluations:
    """All evaluations of a run.

    Attributes:
        results: in the order given.
        comparison: of `compare_methods`: figures measured here beside published ones; may be empty.
        notes: sentences about it.
        floor: of `compare_methods`: ratios to the mean face; may be empty.
    """

    results: tuple[EvaluationResult, ...] = ()
    comparison: pd.DataFrame = field(default_factory=pd.DataFrame)
    notes: tuple[str, ...] = ()
    floor: pd.DataFrame = field(default_factory=pd.DataFrame)


def read_evaluations(results: Iterable[str | Path], comparison: Iterable[str | Path] = ()) -> Evaluations:
    """Read what the evaluation rules wrote.

    Args:
        results: evaluation/<kind>/<name>.json; curve.svg, heat_maps/*.png, pictures/*.png and heat_map.png
            are looked for in the folder <name> beside each.
        comparison: comparison.csv, comparison.txt and floor.csv, told apart by their names.
    Raises:
        FormatError: a file is missing or damaged.
    """
    files = {Path(path).name: Path(path) for path in comparison}
    table, floor = (_table(files.get(name)) for name in ("comparison.csv", "floor.csv"))
    notes = _text(files["comparison.txt"]).splitlines() if "comparison.txt" in files else []
    return Evaluations(tuple(_result(Path(path)) for path in results), table, tuple(notes), floor)


def _result(path: Path) -> EvaluationResult:
    try:
        figures = json.loads(_text(path))
        if "protocol" not in figures or "origin" not in figures:
            raise ValueError("no protocol or origin in it")
    except (ValueError, TypeError) as error:
        raise FormatError(
            f"{path} is not a result of an evaluation",
            "JSON with protocol, origin and figures",
            str(error),
            "run the evaluation again",
        ) from error
    folder = path.with_suffix("")
    pictures = sorted(
        (path for name in ("heat_maps", "pictures") for path in (folder / name).glob("*.png")), key=_rank
    ) or sorted(folder.glob("heat_map.png"))
    curve = folder / "curve.svg"
    return EvaluationResult(
        path.parent.name, path.stem, figures, curve if curve.is_file() else None, tuple(pictures)
    )


def _rank(path: Path) -> tuple[int, str]:
    number = path.name.partition("_")[0]
    return (int(number) if number.isdigit() else 0, path.name)


def _table(path: Path | None) -> pd.DataFrame:
    if path is None:
        return pd.DataFrame()
    try:
        return pd.read_csv(path, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise FormatError(
            f"{path} cannot be read", "a table of compare_methods", str(error), "make it again"
        ) from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise FormatError(
            f"{path} cannot be read", "what an evaluation wrote", str(error), "make it again"
        ) from error
