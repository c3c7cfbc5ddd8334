"""The bill of a run before it is run: jobs, hours and bytes of each rule, from what jobs took elsewhere.

A job of a rule costs a + b n, where n is the number of photos it works on: a, the start, and b, the work,
follow by least squares from jobs whose sizes differ by a factor of two at least, and neither is negative.
Where sizes differ less all is work: a bill that is too high at large shards rather than too low.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from facemill.formats.benchmarks import read_benchmarks
from facemill.report.disk_usage import usage_by_rule
from facemill.runtime.errors import FormatError
from facemill.runtime.files import write_text
from facemill.runtime.tables import as_numbers, read_csv

MEASURED_COLUMNS = ["rule", "photos", "jobs", "processor_seconds", "wall_seconds", "bytes"]
PLAN_COLUMNS = [
    "rule",
    "jobs",
    "jobs_done",
    "processor_hours",
    "gpu_hours",
    "wall_hours",
    "bytes",
    "processor_hours_left",
    "gpu_hours_left",
    "wall_hours_left",
    "bytes_now",
    "estimated_from",
]
UNKNOWN = "unknown"
TOTAL = "total"
HERE, ELSEWHERE = "this run", "other runs"
TRAINING = "train_"  # how the rules begin whose cost is that of their settings, not of other runs' trainings


class PlannedJobs(NamedTuple):
    """Jobs of one rule on one set.

    Attributes:
        rule, set: names; `set` is empty for rules that work on no set.
        jobs, done: how many there are, and how many of them are done.
        photos: that one job works on, on average; 1 where a job is of one person, capture or other thing.
        gpus: that a job asks for.
    """

    rule: str
    set: str
    jobs: int
    done: int
    photos: float
    gpus: int = 0


class Line(NamedTuple):
    """What a job costs: `start` + `work` x photos."""

    start: float
    work: float

    def of(self, photos: float) -> float:
        """Cost of a job with so many photos."""
        return self.start + self.work * photos


def write_plan(
    plan: str | Path,
    costs: str | Path,
    results: str | Path,
    jobs: Iterable[Sequence[Any]],
    outputs: Iterable[Sequence[str]],
    elsewhere: Iterable[str | Path],
) -> None:
    """Write `plan.csv` and `costs.csv` of a run.

    Args:
        results: folder of the run, with `benchmarks/`.
        jobs: the fields of a `PlannedJobs` each.
        outputs: path below `results` with {wildcards}, rule.
        elsewhere: `costs.csv` of other runs.
    Raises:
        FormatError: a table of costs or a benchmark is not one.
    """
    planned = [PlannedJobs(*job) for job in jobs]
    usage = usage_by_rule(results, [(path, rule) for path, rule in outputs])
    here = measured_costs(read_benchmarks(Path(results, "benchmarks")), planned, usage)
    tables = [read_costs(path) for path in elsewhere]
    others = pd.concat(tables, ignore_index=True) if tables else here.iloc[:0]
    write_text(costs, here.to_csv(index=False, lineterminator="\n"))
    estimate = estimate_costs(planned, here, others, usage)
    write_text(plan, estimate.to_csv(index=False, lineterminator="\n"))


def fit_line(photos: np.ndarray, costs: np.ndarray, weights: np.ndarray) -> Line:
    """Least squares with neither start nor work below 0; all is work where sizes differ too little.

    Args:
        photos, costs: (N,) of jobs. weights: (N,) how many jobs are alike.

    >>> fit_line(np.array([10.0, 20.0]), np.array([5.0, 7.0]), np.array([1, 1]))
    Line(start=3.0, work=0.2)
    """
    mean_photos, mean_cost = np.average(photos, weights=weights), np.average(costs, weights=weights)
    if photos.max() >= 2 * photos.min():
        spread = np.average((photos - mean_photos) ** 2, weights=weights)
        work = np.average((photos - mean_photos) * (costs - mean_cost), weights=weights) / spread
        start = mean_cost - work * mean_photos
        if work < 0:
            return Line(float(mean_cost), 0.0)
        if start >= 0:
            return Line(round(float(start), 12), round(float(work), 12))
    return Line(0.0, float(mean_cost / mean_photos))


def measured_costs(
    benchmarks: pd.DataFrame, jobs: Iterable[PlannedJobs], usage: Mapping[str, int]
) -> pd.DataFrame:
    """What the jobs of a run took, by rule and size.

    Args:
        benchmarks: of `read_benchmarks`.
        jobs: of the run; benchmarks of other rules are left out.
        usage: bytes by rule; of `usage_by_rule`.
    Returns:
        columns `MEASURED_COLUMNS`: means over `jobs` jobs that each worked on `photos` photos.
    """
    jobs = list(jobs)
    sizes = {(job.rule, job.set): job.photos for job in jobs}
    photos_done: dict[str, float] = {}
    for job in jobs:
        photos_done[job.rule] = photos_done.get(job.rule, 0.0) + job.done * job.photos
    rows = []
    for row in benchmarks.to_dict("records"):
        photos = sizes.get((row["rule"], row["set"]), sizes.get((row["rule"], "")))
        if photos:
            done = photos_done[row["rule"]]
            size = usage.get(row["rule"], 0) / done * photos if done else 0.0
            rows.append((row["rule"], photos, row["cpu_seconds"], row["seconds"], size))
    table = pd.DataFrame(rows, columns=["rule", "photos", *MEASURED_COLUMNS[3:]])
    grouped = table.groupby(["rule", "photos"], sort=True)
    means = grouped.mean().round({"processor_seconds": 3, "wall_seconds": 3, "bytes": 0})
    means.insert(0, "jobs", grouped.size())
    return means.reset_index()[MEASURED_COLUMNS]


def read_costs(path: str | Path) -> pd.DataFrame:
    """Read a `costs.csv` that `estimate_costs` wrote.

    Raises:
        FormatError: the file is missing or is not one.
    """
    table = read_csv(path, "a costs.csv of a run", "give results/<run>/costs.csv")
    if list(table.columns) != MEASURED_COLUMNS:
        found = ", ".join(table.columns)
        raise FormatError(
            f"{path} holds no costs",
            ", ".join(MEASURED_COLUMNS),
            found,
            "give results/<run>/costs.csv of another run",
        )
    if not (as_numbers(table[MEASURED_COLUMNS[1:]]) >= 0).all(axis=None):
        raise FormatError(
            f"{path} holds costs that are none",
            "numbers from 0 on in all columns but the first",
            "others",
            "give results/<run>/costs.csv of another run",
        )
    return table


def estimate_costs(
    jobs: Iterable[PlannedJobs], here: pd.DataFrame, elsewhere: pd.DataFrame, usage: Mapping[str, int]
) -> pd.DataFrame:
    """A row per rule, then what else lies on the disk, then the total of what is known.

    Args:
        jobs: of the whole run, in the order of the rows.
        here: `measured_costs` of this run: they come first.
        elsewhere: of other runs, for rules that have not run here; not for trainings, whose settings differ.
        usage: bytes by rule that are on the disk now.
    Returns:
        columns `PLAN_COLUMNS`; a rule that never ran anywhere is `unknown`, not 0. Hours are of one job after
        another; `..._left` are those of jobs that are not done.
    """
    rows: list[dict[str, object]] = []
    for rule, planned in _by_rule(jobs).items():
        measured, source = here[here["rule"] == rule], HERE
        if measured.empty and not rule.startswith(TRAINING):
            measured, source = elsewhere[elsewhere["rule"] == rule], ELSEWHERE
        rows.append(_row(rule, planned, measured, source, usage.get(rule, 0)))
    known = {row["rule"] for row in rows}
    for name, size in sorted(usage.items()):
        if name not in known:
            rows.append({"rule": name, "bytes": size, "bytes_now": size, "estimated_from": HERE})
    table = pd.DataFrame(rows, columns=PLAN_COLUMNS)
    unknown = table.loc[table["estimated_from"] == UNKNOWN, "rule"].tolist()
    total = table.iloc[:, 1:-1].apply(pd.to_numeric, errors="coerce").sum(min_count=1).round(4)
    found = "all rules" if not unknown else f"without {', '.join(unknown)}"
    table.loc[len(table)] = [TOTAL, *total.astype(object).where(total.notna(), UNKNOWN), found]
    for name in ("jobs", "jobs_done", "bytes_now"):
        table[name] = pd.to_numeric(table[name]).astype("Int64")
    table["bytes"] = [size if size == UNKNOWN else int(size) for size in table["bytes"]]
    return table


def _by_rule(jobs: Iterable[PlannedJobs]) -> dict[str, list[PlannedJobs]]:
    rules: dict[str, list[PlannedJobs]] = {}
    for job in jobs:
        rules.setdefault(job.rule, []).append(job)
    return rules


def _row(
    rule: str, planned: list[PlannedJobs], measured: pd.DataFrame, source: str, size: int
) -> dict[str, object]:
    counts = {"jobs": sum(job.jobs for job in planned), "jobs_done": sum(job.done for job in planned)}
    if measured.empty:
        unknown = dict.fromkeys(PLAN_COLUMNS[3:-2], UNKNOWN)
        return {"rule": rule, **counts, **unknown, "bytes_now": size, "estimated_from": UNKNOWN}
    photos, weights = measured["photos"].to_numpy(float), measured["jobs"].to_numpy()
    processor, wall, size_line = (
        fit_line(photos, measured[name].to_numpy(float), weights) for name in MEASURED_COLUMNS[3:]
    )
    row: dict[str, object] = {"rule": rule, **counts, "bytes_now": size, "estimated_from": source}
    for suffix, numbers in (("", [j.jobs for j in planned]), ("_left", [j.jobs - j.done for j in planned])):
        pairs = list(zip(planned, numbers, strict=True))
        row[f"processor_hours{suffix}"] = _hours(sum(processor.of(j.photos) * n for j, n in pairs))
        row[f"wall_hours{suffix}"] = _hours(sum(wall.of(j.photos) * n for j, n in pairs))
        row[f"gpu_hours{suffix}"] = _hours(sum(wall.of(j.photos) * n * j.gpus for j, n in pairs))
    row["bytes"] = round(sum(size_line.of(j.photos) * j.jobs for j in planned))
    return row


def _hours(seconds: float) -> float:
    return round(seconds / 3600, 4)
