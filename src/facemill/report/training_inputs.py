"""What the report shows of a training: its course, its figures, some faces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from facemill.runtime.errors import FormatError
from facemill.runtime.inputs import read_json_object
from facemill.runtime.tables import read_csv

KINDS = ("train", "validation")
SUMMARY = ("steps", "images", "validation_images", "validation_seen")


@dataclass(frozen=True)
class Training:
    """A training that has ended.

    Attributes:
        rule: that trained: train_coarse, train_image_set or train_detail.
        summary: steps, images, validation_images, and whether those are trained on too (validation_seen).
        courses: `train` and `validation` → a table with the step as index, a column per measure.
        faces: picture of some validation faces.
    """

    rule: str
    summary: Mapping[str, Any]
    courses: Mapping[str, pd.DataFrame]
    faces: Path


def read_trainings(files: Iterable[str | Path]) -> tuple[Training, ...]:
    """Read what trainings wrote, in the order given.

    Args:
        files: metrics.csv, faces.png and summary.json in a folder named after the rule, of each training;
            others are not read.
    Raises:
        FormatError: a file is missing or damaged.
    """
    folders: dict[Path, dict[str, Path]] = {}
    for path in map(Path, files):
        folders.setdefault(path.parent, {})[path.name] = path
    return tuple(_training(folder.name, named) for folder, named in folders.items())


def _training(rule: str, named: Mapping[str, Path]) -> Training:
    lacking = [name for name in ("metrics.csv", "faces.png", "summary.json") if name not in named]
    if lacking:
        raise FormatError(
            "the files of the training are not all there", "metrics.csv, faces.png, summary.json",
            f"no {lacking[0]}", f"name every output of {rule}",
        )  # fmt: skip
    courses = _courses(named["metrics.csv"])
    return Training(rule, _summary(named["summary.json"]), courses, named["faces.png"])


def _summary(path: Path) -> Mapping[str, Any]:
    return read_json_object(path, "the summary of a training", "train again", SUMMARY)


def _courses(path: Path) -> Mapping[str, pd.DataFrame]:
    table = read_csv(path, "a table of steps", "train again")
    if not {"step", "kind"} <= set(table) or not len(table):
        raise _damaged(path, "rows with step and kind", f"{len(table)} rows of {', '.join(map(str, table))}")
    beside = ["kind", "epoch", "images_per_second"]
    return {
        kind: table[table["kind"] == kind]
        .set_index("step")
        .drop(columns=beside, errors="ignore")
        .dropna(axis=1, how="all")
        for kind in KINDS
    }


def _damaged(path: Path, expected: str, found: str) -> FormatError:
    return FormatError(f"{path} is not what a training writes", expected, found, "train again")
