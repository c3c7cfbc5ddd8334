"""The sections of the report: each a function from the run to a piece of the page.

A further stage adds its own: a function of `Page` that returns a `Section` or None, in its own module, listed
in `facemill.report.page.SECTIONS`.
"""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass, field
from importlib import metadata
from statistics import median
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from facemill.report.inputs import ReportInputs
from facemill.report.settings import ReportSettings
from facemill.report.viewers import ViewerStore
from facemill.runtime.tables import OK

PACKAGES = (
    "facemill",
    "snakemake",
    "torch",
    "numpy",
    "scipy",
    "pandas",
    "opencv-python-headless",
    "dlib-bin",
)


@dataclass(frozen=True)
class Section:
    """A piece of the page. `identifier` is its anchor; sections are ordered by `position`."""

    identifier: str
    title: str
    position: int
    html: Markup


@dataclass(frozen=True)
class Page:
    """What every section is made from, and where it leaves its 3-D views."""

    inputs: ReportInputs
    settings: ReportSettings
    templates: jinja2.Environment
    viewers: ViewerStore = field(default_factory=ViewerStore)

    def fill(self, template: str, **values: Any) -> Markup:
        """A template with its values, escaped."""
        return Markup(self.templates.get_template(template).render(**values))


def summary_section(page: Page) -> Section | None:
    """How many photos became faces, how well, and what became of the others.

    None for a run that evaluates, trains or fits captures without photos of its own.
    """
    sets = page.inputs.sets
    inputs = page.inputs
    if not sets and (inputs.evaluations.results or inputs.trainings or inputs.captures):
        return None
    total = sum(len(one.photos) for one in sets)
    faces = sum(int((one.photos["status"] == OK).sum()) for one in sets)
    tiles = [("photos", f"{total:,}"), ("faces", f"{faces:,}"), ("without a face", f"{total - faces:,}")]
    for column, label in (
        ("landmark_error", "median landmark error"),
        ("photometric_error", "median colour error"),
    ):
        values = [value for one in sets if column in one.faces for value in one.faces[column].dropna()]
        if values:
            tiles.append((label, figure_text(column, median(values))))
    statuses: dict[str, list[int]] = {}
    for index, one in enumerate(sets):
        for status, count in one.photos["status"].value_counts().items():
            statuses.setdefault(str(status), [0] * len(sets))[index] = int(count)
    rows = sorted(statuses.items(), key=lambda item: (item[0] != OK, -sum(item[1]), item[0]))
    html = page.fill(
        "summary.html",
        tiles=tiles,
        measured=len(tiles) > 3,
        sets=[one.name for one in sets],
        rows=rows,
        total=max(total, 1),
    )
    return Section("summary", "Summary", 0, html)


def photos_section(page: Page) -> Section | None:
    """The photos that did not become faces, and why."""
    tables = [
        one.photos[one.photos["status"] != OK].assign(set=one.name)[["set", "photo", "status", "reason"]]
        for one in page.inputs.sets
    ]
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    if table.empty:
        return None
    shown = table.head(page.settings.max_rows).to_dict("records")
    html = page.fill("photos.html", rows=shown, hidden=len(table) - len(shown), many=len(tables) > 1)
    return Section("photos", "Photos without a face", 60, html)


def times_section(page: Page) -> Section | None:
    """Time and memory of each rule."""
    times = page.inputs.times
    if times.empty:
        return None
    rows = [
        {
            "rule": row["rule"],
            "jobs": int(row["jobs"]),
            "time": duration(row["seconds"]),
            "cpu": duration(row["cpu_seconds"]),
            "memory": f"{row['memory']:,.0f} MiB",
            "share": row["seconds"] / max(times["seconds"].max(), 1e-9),
        }
        for row in times.to_dict("records")
    ]
    total = {"time": duration(times["seconds"].sum()), "cpu": duration(times["cpu_seconds"].sum())}
    return Section("times", "Times", 80, page.fill("times.html", rows=rows, total=total))


def provenance_section(page: Page) -> Section:
    """Versions and settings with which the run can be repeated."""
    versions = [("Python", platform.python_version()), *((name, _version(name)) for name in PACKAGES)]
    html = page.fill(
        "provenance.html",
        versions=[(name, version) for name, version in versions if version],
        configuration=json.dumps(page.inputs.configuration, indent=2, ensure_ascii=False, default=str),
    )
    return Section("provenance", "Provenance", 90, html)


def figure_text(column: str, value: float) -> str:
    """A figure for people: landmark errors as a share of the eye distance, colour errors of 0..255.

    >>> figure_text("landmark_error", 0.0234), figure_text("photometric_error", 0.1)
    ('2.3 %', '25.5 / 255')
    """
    return f"{100 * value:.1f} %" if column == "landmark_error" else f"{255 * value:.1f} / 255"


def duration(seconds: float) -> str:
    """Seconds for people.

    >>> duration(3.21), duration(75), duration(7384)
    ('3.2 s', '1 min 15 s', '2 h 03 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
