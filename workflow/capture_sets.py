"""Captures that the configuration lists: one head from several sides, on disk or made by the run."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from facemill.configuration import Configuration
from facemill.formats.facescape_sets import CaptureId
from facemill.multiview import capture_plan
from facemill.multiview.capture_plan import PlannedCapture
from facemill.multiview.capture_settings import SYNTHETIC_CAPTURES, CaptureEntry
from facemill.photos.settings import IMAGE_SUFFIXES
from facemill.runtime.errors import ConfigurationError, FacemillError
from facemill.synthesis.splits import members_of

SYNTHETIC_UNIT = 1.0  # millimetres: docs/synthesize_captures.md
_PATHS = ("folder", "scan", "meshes", "scales", "select", "ids")


def plan_captures(settings: Configuration, root: Path, place: Path) -> list[PlannedCapture]:
    """Write or renew the plan of all captures; only the main process does.

    Args:
        root: the repository, where relative paths are looked up after the working directory.
    Raises:
        ConfigurationError: an entry names no capture, or two captures have one name.
        FormatError: a file of a set is of another form.
    """
    captures: list[PlannedCapture] = []
    for name, entry in settings.captures.items():
        if entry.folder.startswith(SYNTHETIC_CAPTURES):
            found = _synthetic(settings, name, entry, root)
        else:
            found = _with_scans(
                entry, capture_plan.expand_entry(name, _looked_up(entry, root), IMAGE_SUFFIXES), root
            )
        captures += [replace(capture, entry=name) for capture in found]
    given = {entry.person for entry in settings.captures.values() if entry.person is not None}
    capture_plan.check_names(captures, given)
    if captures or place.exists():
        capture_plan.write_plan(place, captures, IMAGE_SUFFIXES)
    return captures


class CaptureSets:
    """The part of `planning.Plan` that knows captures."""

    settings: Any
    results: str
    root: Path
    may_list: bool

    @cached_property
    def captures(self) -> dict[str, PlannedCapture]:
        """Every capture of the run by name."""
        if not self.settings.captures:
            return {}
        place = Path(self.results, "multiview", "plan")
        try:
            if self.may_list:
                found = plan_captures(self.settings, self.root, place)
            else:
                found = capture_plan.read_plan(place)
        except FacemillError as error:
            sys.exit(f"{type(error).__name__}: {error}")
        return {capture.name: capture for capture in found}

    def capture(self, name: str) -> PlannedCapture:
        """One capture of the run."""
        if name not in self.captures:
            known = ", ".join(list(self.captures)[:8]) or "none"
            sys.exit(f"there is no capture {name} in the configuration; it has: {known}")
        return self.captures[name]

    def captures_of(self, person: str) -> list[str]:
        """Names of the captures of a person, in the order of the configuration."""
        found = [capture.name for capture in self.captures.values() if capture.person == person]
        if not found:
            sys.exit(f"no capture of the configuration shows a person called {person}")
        return found

    @property
    def captured_people(self) -> list[str]:
        """Every person of the captures, once."""
        return list(dict.fromkeys(capture.person for capture in self.captures.values()))

    def multiview_files(self, pattern: str) -> list[str]:
        """One result per capture; `pattern` holds {capture}, relative to results/<run>/multiview/."""
        return [f"{self.results}/multiview/{pattern.format(capture=name)}" for name in self.captures]

    def person_captures(self, pattern: str, person: str) -> list[str]:
        """The same of the captures of one person."""
        return [
            f"{self.results}/multiview/{pattern.format(capture=name)}" for name in self.captures_of(person)
        ]

    def fit_of(self, capture: str, suffix: str) -> str:
        """The file of `fit_base_mesh` that holds a capture: `suffix` is npz or json."""
        return f"{self.results}/multiview/fit_base_mesh/{self.capture(capture).person}.{suffix}"

    @property
    def capture_evaluations(self) -> list[str]:
        """What `evaluate_base_mesh` writes of each capture with a scan."""
        return [
            f"{self.results}/multiview/{name}/evaluate_base_mesh/result.json"
            for name in self.scanned_captures
        ]

    @property
    def capture_results(self) -> list[str]:
        """Everything that a whole run makes of its captures."""
        table = [f"{self.results}/multiview/captures.csv"] if self.captures else []
        exported = [
            *self.multiview_files("{capture}/base_mesh.obj"),
            *self.multiview_files("{capture}/uv_maps.npz"),
        ]
        return [*table, *exported, *self.capture_evaluations]

    def calibrated_files(self, name: str) -> list[str]:
        """The cameras that `calibrate_capture` makes for a capture that comes without; else nothing."""
        if self.capture(name).calibrated:
            return []
        return [f"{self.results}/multiview/{name}/calibrate_capture/cameras.json"]

    def calibration_reports(self) -> list[str]:
        """The report of each capture that is calibrated by the run."""
        files = [file for name in self.captures for file in self.calibrated_files(name)]
        return [str(Path(file).with_name("report.json")) for file in files]

    def scan_files_of(self, name: str) -> list[str]:
        """What the evaluation of a capture waits for; nothing where there is no scan."""
        capture = self.capture(name)
        return list(capture.scan_made_by) or ([capture.scan] if capture.scan else [])

    @property
    def scanned_captures(self) -> list[str]:
        """Names of the captures with a scan."""
        return [name for name, capture in self.captures.items() if capture.scan]


def _looked_up(entry: CaptureEntry, root: Path) -> CaptureEntry:
    """The entry with its paths as the jobs see them."""
    changes = {}
    for key in _PATHS:
        given = getattr(entry, key)
        if given is not None:
            path = Path(given).expanduser()
            elsewhere = not path.is_absolute() and not path.exists() and (root / path).exists()
            changes[key] = str(root / path if elsewhere else path)
    return entry.model_copy(update=changes)


def _with_scans(entry: CaptureEntry, captures: list[PlannedCapture], root: Path) -> list[PlannedCapture]:
    """The captures with the files of the scans in `entry.meshes`; those that it lacks have none."""
    meshes = _looked_up(entry, root).meshes
    if meshes is None:
        return captures
    if not Path(meshes).is_dir():
        raise ConfigurationError(
            f"captures.*.meshes: {entry.meshes}",
            "a folder of <person>/<k_expression>.ply",
            "none",
            "correct it",
        )
    return [capture_plan.with_scan(capture, meshes) for capture in captures]


def _synthetic(settings: Configuration, name: str, entry: CaptureEntry, root: Path) -> list[PlannedCapture]:
    """The captures that `synthesize_captures` will make of one data set, with their scans."""
    made = entry.folder.removeprefix(SYNTHETIC_CAPTURES)
    if made not in settings.synthesis.captures:
        raise ConfigurationError(
            f"captures.{name}.folder: {entry.folder}",
            "synthesis.captures.<name> with a name that the configuration lists",
            ", ".join(settings.synthesis.captures) or "no synthesis.captures in the configuration",
            f"list {entry.folder}, or give the folder of captures of yours",
        )
    task = settings.synthesis.captures[made]
    place = f"results/{settings.run}/synthesis/captures/{made}/synthesize_captures"
    folders = {
        CaptureId(person, number): (
            f"{place}/imgs/{person}/{expression}",
            f"{place}/mesh/{person}/{expression}.ply",
        )
        for person in members_of(task.split, task.first, task.identities)
        for number, expression in capture_plan.expressions_called(task.expressions)
    }
    entry = _looked_up(entry, root)
    if entry.unit_mm is None and entry.scales is None:
        entry = entry.model_copy(update={"unit_mm": SYNTHETIC_UNIT})
    captures = capture_plan.expand_set(name, entry, folders)
    return [capture_plan.made_in_run(capture, place) for capture in captures]
