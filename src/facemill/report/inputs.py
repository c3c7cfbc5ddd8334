"""What the report is made from: tables of photos and faces, times, and the configuration of the run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from facemill.formats.benchmarks import read_benchmarks
from facemill.report.capture_inputs import CaptureResults
from facemill.report.detail_inputs import DetailSetResults
from facemill.report.evaluation_inputs import Evaluations
from facemill.report.people_inputs import PeopleSetResults
from facemill.report.surface_inputs import SurfaceResults
from facemill.report.training_inputs import Training
from facemill.runtime.errors import FormatError
from facemill.runtime.tables import OK, read_csv, read_table

NOTHING_MEASURED = Evaluations()


@dataclass(frozen=True)
class PhotoSetResults:
    """One photo set of the run.

    Attributes:
        name: of the set.
        photos: a row per photo, all columns text: `photo`, `status`, `reason` and more of faces.csv; status
            and reason are those of the last stage that ran.
        faces: rows of `export_coarse` that are `ok`, with `folder`; empty when that stage did not run.
    """

    name: str
    photos: pd.DataFrame
    faces: pd.DataFrame


@dataclass(frozen=True)
class ReportInputs:
    """A run, as the report sees it.

    Attributes:
        run: its name.
        sets: in the order given.
        times: a row per rule: `rule`, `jobs`, `seconds`, `cpu_seconds` (sums), `memory` (largest, MiB).
        configuration: the checked settings, as plain values.
        evaluations: what the run measured against truths.
        trainings: of the run's networks.
        people: sets of people, of whom each was made of several photos.
        detail: photo sets whose faces got a detail layer.
        captures: heads that were captured from several sides.
        surfaces: of these captures, where the run makes them.
    """

    run: str
    sets: tuple[PhotoSetResults, ...]
    times: pd.DataFrame
    configuration: Mapping[str, Any]
    evaluations: Evaluations = NOTHING_MEASURED
    trainings: tuple[Training, ...] = ()
    people: tuple[PeopleSetResults, ...] = ()
    detail: tuple[DetailSetResults, ...] = ()
    captures: tuple[CaptureResults, ...] = ()
    surfaces: tuple[SurfaceResults, ...] = ()


def read_inputs(
    run: str,
    results: str | Path,
    benchmarks: str | Path,
    configuration: Mapping[str, Any],
    faces: Iterable[str | Path] = (),
    coarse: Iterable[str | Path] = (),
    evaluations: Evaluations = NOTHING_MEASURED,
    trainings: tuple[Training, ...] = (),
    people: tuple[PeopleSetResults, ...] = (),
    detail: tuple[DetailSetResults, ...] = (),
    captures: tuple[CaptureResults, ...] = (),
    surfaces: tuple[SurfaceResults, ...] = (),
) -> ReportInputs:
    """Read what the stages wrote.

    Args:
        results: the folder results/<run>.
        benchmarks: the folder with Snakemake's benchmark files, <rule>/**/*.tsv; may be missing.
        faces: photos/<set>/faces.csv of each set; the name of the set is that of its folder.
        coarse: coarse/<set>/export_coarse/<shard>.parquet; none for sets that were not exported.
        evaluations: of `read_evaluations`. trainings: of `read_trainings`.
        people: of `read_people`. detail: of `read_detail`. captures: of `read_captures`.
        surfaces: of `read_surfaces`.
    Raises:
        FormatError: a table is missing, damaged, of an unknown set or lacks a column.
    """
    photos = {Path(path).parent.name: _read_csv(path) for path in faces}
    exported: dict[str, list[pd.DataFrame]] = {name: [] for name in photos}
    for path in coarse:
        name = Path(path).parent.parent.name
        if name not in exported:
            raise FormatError(
                f"{path} belongs to a set without faces.csv", ", ".join(photos) or "no set", name, "give both"
            )
        exported[name].append(_checked(read_table(path), path, ("photo", "status", "reason", "folder")))
    sets = tuple(_photo_set(name, table, exported[name]) for name, table in photos.items())
    return ReportInputs(
        run,
        sets,
        read_times(benchmarks),
        configuration,
        evaluations,
        trainings,
        people,
        detail,
        captures,
        surfaces,
    )


def read_times(folder: str | Path) -> pd.DataFrame:
    """Sums of Snakemake's benchmark files per rule, longest first; see `read_benchmarks`."""
    jobs = read_benchmarks(folder)
    grouped = jobs.groupby("rule", sort=False)
    times = grouped[["seconds", "cpu_seconds"]].sum().join(grouped["memory"].max())
    times.insert(0, "jobs", grouped.size())
    return times.sort_values("seconds", ascending=False).reset_index()


def _photo_set(name: str, photos: pd.DataFrame, exported: list[pd.DataFrame]) -> PhotoSetResults:
    if not exported:
        return PhotoSetResults(name, photos, pd.DataFrame(columns=["photo", "status", "reason", "folder"]))
    table = pd.concat(exported, ignore_index=True)
    later = table.drop_duplicates("photo").set_index("photo")[["status", "reason"]].astype(object)
    photos = photos.set_index("photo", drop=False)
    known = later.index.intersection(photos.index)
    photos.loc[known, ["status", "reason"]] = later.loc[known].fillna("")
    faces = table[table["status"] == OK].sort_values("photo", ignore_index=True)
    return PhotoSetResults(name, photos.reset_index(drop=True), faces)


def _read_csv(path: str | Path) -> pd.DataFrame:
    # Everything as text: a photo may be called "NA", "007" or "1e5".
    columns = ("photo", "status", "reason")
    options = {"dtype": str, "keep_default_na": False}
    return read_csv(path, "a CSV table of photos", "make it again", columns, **options)


def _checked(table: pd.DataFrame, path: str | Path, columns: tuple[str, ...]) -> pd.DataFrame:
    missing = [name for name in columns if name not in table]
    if missing:
        raise FormatError(
            f"{path} lacks the columns {', '.join(missing)}",
            ", ".join(columns),
            ", ".join(table.columns) or "no columns",
            "make it again",
        )
    return table
