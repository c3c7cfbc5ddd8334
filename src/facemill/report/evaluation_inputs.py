"""What the report shows of evaluations: figures, curves, pictures, and the tables that compare them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from facemill.runtime.inputs import read_json_object, read_text
from facemill.runtime.tables import read_csv


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
    expected, remedy = "a result of an evaluation, with its figures", "run the evaluation again"
    figures = read_json_object(path, expected, remedy, ("protocol", "origin"))
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
    expected = "a table of compare_methods"
    return read_csv(path, expected, "make it again", keep_default_na=False, na_values=[""])


def _text(path: Path) -> str:
    return read_text(path, "what an evaluation wrote", "make it again")
