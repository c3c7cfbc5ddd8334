"""Which captures a run has, and what each is made from: planned once by the workflow, read by every job.

Only the main process of the workflow lists folders. It leaves `captures.json`, the list, and a manifest per
capture, `<capture>.json`, which is rewritten only when a file of the capture changed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from facemill.formats.facescape_sets import EXPRESSIONS, CaptureId, read_ids, read_scales, read_selection
from facemill.multiview.capture_settings import CaptureEntry
from facemill.runtime.errors import ConfigurationError
from facemill.runtime.files import write_text
from facemill.runtime.inputs import decoding, read_json_object

FORMAT = "facemill-capture-plan-1"
LIST = "captures"
_PLANNED = "start the workflow again: it plans the captures when it is read"
FACESCAPE, CAMERAS, COLMAP, PHOTOS = "facescape", "cameras", "colmap", "photos"
MODEL_FOLDERS = ("sparse/0", "sparse", ".")
PHOTO_FOLDERS = (".", "images")
RESERVED = (LIST, "plan", "fit_base_mesh", "train_implicit", "train_regularizer", "train_mesoscopic")

_EXPRESSION = re.compile(r"(\d+)_\w+")
_FORMS = "params.json, cameras.json, a COLMAP model (sparse/0/cameras.bin …), or photos"


@dataclass(frozen=True)
class PlannedCapture:
    """One capture of a run.

    name: unique in the run. person: captures of one person share an identity.
    kind: what its cameras are in: `facescape`, `cameras`, `colmap`, or `photos` (none: to be calibrated).
    folder: holds photos and cameras. unit_mm: millimetres per unit of the world, or None where the
    configuration does not say; unit_source: `unit_mm`, `scales` or empty.
    scan: mesh file, or empty. select: numbers of the views to use, or None for all.
    made_by: files and folders of this run that the capture waits for; scan_made_by: and its scan.
    entry: of the configuration's `captures`, to which it belongs.
    """

    name: str
    person: str
    kind: str
    folder: str
    unit_mm: float | None = None
    unit_source: str = ""
    scan: str = ""
    select: tuple[int, ...] | None = None
    made_by: tuple[str, ...] = ()
    scan_made_by: tuple[str, ...] = ()
    entry: str = ""

    @property
    def calibrated(self) -> bool:
        """Whether the capture comes with cameras."""
        return self.kind != PHOTOS


def expand_entry(name: str, entry: CaptureEntry, suffixes: Collection[str]) -> list[PlannedCapture]:
    """The captures of one entry of the configuration, whose folders were looked up.

    Args:
        suffixes: of photos, lower case, with the dot.
    Raises:
        ConfigurationError: a folder or file is missing, holds no capture, or `entry` leaves none.
        FormatError: a JSON file of a set is of another form.
    """
    folder = Path(entry.folder)
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise ConfigurationError(
            f"captures.{name}.folder: {entry.folder}", "a folder", found, "correct the path"
        )
    kind = kind_of(folder, suffixes)
    if kind is None:
        return expand_set(name, entry, dict(_set_folders(name, folder)))
    _only_for_sets(name, entry)
    if kind == PHOTOS:
        _needs_cameras(name, entry)
    scan = "" if entry.scan is None else _existing(f"captures.{name}.scan", entry.scan)
    source = "" if entry.unit_mm is None else "unit_mm"
    return [PlannedCapture(name, entry.person or name, kind, str(folder), entry.unit_mm, source, scan)]


def expand_set(
    name: str, entry: CaptureEntry, folders: Mapping[CaptureId, tuple[str, str]]
) -> list[PlannedCapture]:
    """The captures of a set that an entry asks for.

    Args:
        folders: folder of each capture, and its file of the scan or an empty text.
    Raises: as `expand_entry`.
    """
    chosen = set(folders)
    if entry.people is not None:
        chosen = {capture for capture in chosen if capture.person in entry.people}
    if entry.expressions is not None:
        chosen = {capture for capture in chosen if capture.expression in entry.expressions}
    if entry.split is not None:
        chosen &= read_ids(_existing(f"captures.{name}.ids", str(entry.ids))).get(entry.split, frozenset())
    selection = None
    if entry.select is not None:
        selection = read_selection(_existing(f"captures.{name}.select", entry.select))
        chosen &= set(selection)
    if not chosen:
        raise ConfigurationError(
            f"captures.{name} leaves no capture of {entry.folder}",
            "captures that people, expressions, split and select agree on",
            f"{len(folders)} captures, none of them asked for",
            "ask for other people or expressions, or for another split",
        )
    if entry.scan is not None and len(chosen) > 1:
        raise ConfigurationError(
            f"captures.{name}.scan",
            "meshes, a folder of scans: the entry is a set of captures",
            entry.scan,
            f"replace it by captures.{name}.meshes",
        )
    scales = {}
    if entry.scales is not None:
        scales = read_scales(_existing(f"captures.{name}.scales", entry.scales))
    captures = []
    for capture in sorted(chosen):
        folder, scan = folders[capture]
        scale = scales.get(capture)
        unit = entry.unit_mm if scale is None else scale.millimetres
        captures.append(
            PlannedCapture(
                name=f"{name}-{capture.person}-{capture.expression}" if len(chosen) > 1 else name,
                person=entry.person or (f"{name}-{capture.person}" if len(chosen) > 1 else name),
                kind=FACESCAPE,
                folder=folder,
                unit_mm=unit,
                unit_source="" if unit is None else "unit_mm" if scale is None else "scales",
                scan=entry.scan or scan,
                select=None if selection is None else selection[capture],
            )
        )
    return captures


def expressions_called(names: Collection[str]) -> list[tuple[int, str]]:
    """FaceScape's number and full name of expressions: smile → (2, 2_smile)."""
    return [(at + 1, full) for at, full in enumerate(EXPRESSIONS) if full.partition("_")[2] in names]


def with_scan(capture: PlannedCapture, meshes: str) -> PlannedCapture:
    """The capture of a set with its scan in FaceScape's folder of meshes; without one where there is none."""
    folder = Path(capture.folder)
    scan = Path(meshes, folder.parent.name, f"{folder.name}.ply")
    return replace(capture, scan=str(scan)) if scan.is_file() else capture


def made_in_run(capture: PlannedCapture, place: str) -> PlannedCapture:
    """The capture as one that `synthesize_captures` will leave in the folder `place`, its scan, too."""
    person = Path(capture.folder).parent.name
    return replace(capture, made_by=(f"{place}/imgs/{person}",), scan_made_by=(f"{place}/mesh/{person}",))


def kind_of(folder: Path, suffixes: Collection[str]) -> str | None:
    """What the cameras of a capture are in; None for a folder that is no capture by itself."""
    if (folder / "params.json").exists():
        return FACESCAPE
    if (folder / "cameras.json").exists():
        return CAMERAS
    if colmap_model_folder(folder) is not None:
        return COLMAP
    return PHOTOS if any(True for _ in photo_files(folder, suffixes)) else None


def colmap_model_folder(folder: Path) -> Path | None:
    """Where the COLMAP sparse model of a capture lies, or None."""
    for place in MODEL_FOLDERS:
        for suffix in (".bin", ".txt"):
            if (folder / place / f"cameras{suffix}").exists() and (
                folder / place / f"images{suffix}"
            ).exists():
                return folder / place
    return None


def photo_files(folder: Path, suffixes: Collection[str]) -> Iterator[str]:
    """Photos of a capture, relative to its folder: those in it, or in its folder `images`; sorted."""
    for place in PHOTO_FOLDERS:
        if not (folder / place).is_dir():
            continue
        names = sorted(
            entry.name
            for entry in os.scandir(folder / place)
            if not entry.name.startswith(".") and Path(entry.name).suffix.lower() in suffixes
        )
        yield from (name if place == "." else f"{place}/{name}" for name in names)


def check_names(captures: Collection[PlannedCapture], given: set[str]) -> None:
    """Check that names differ, and that captures share a person only when the configuration says so.

    Args:
        given: persons that the configuration names.
    Raises:
        ConfigurationError: they do not.
    """
    seen: set[str] = set()
    entries: dict[str, str] = {}
    for capture in captures:
        if capture.name in seen or capture.name in RESERVED:
            raise ConfigurationError(
                f"captures: the name {capture.name}",
                "another name for each capture, and none of " + ", ".join(RESERVED),
                "it is taken",
                "rename the entry of the configuration",
            )
        seen.add(capture.name)
        entry = entries.setdefault(capture.person, capture.entry)
        if entry != capture.entry and capture.person not in given:
            raise ConfigurationError(
                f"captures.{entry} and captures.{capture.entry}",
                "different people, or `person` in both",
                f"both have a person called {capture.person}",
                "rename one of them, or give both the same `person`",
            )


def write_plan(place: Path, captures: Collection[PlannedCapture], suffixes: Collection[str]) -> None:
    """Write or renew the plan: the list, and a manifest per capture."""
    _write_if_changed(
        place / f"{LIST}.json",
        {"format": FORMAT, "captures": [asdict(capture) for capture in captures]},
    )
    for capture in captures:
        files = [] if capture.made_by else [_version(capture, name) for name in _files(capture, suffixes)]
        _write_if_changed(
            place / f"{capture.name}.json", {"format": FORMAT, "capture": asdict(capture), "files": files}
        )


def read_plan(place: Path) -> list[PlannedCapture]:
    """The captures of a plan.

    Raises:
        FormatError: there is none, or it is not whole.
    """
    path = place / f"{LIST}.json"
    with decoding(path, "a list of captures", _PLANNED):
        return [_capture(values) for values in _read(path, "captures")]


def read_manifest(path: str | Path) -> PlannedCapture:
    """The capture of a manifest.

    Raises:
        FormatError: it is missing or of another form.
    """
    with decoding(path, "a planned capture", _PLANNED):
        return _capture(_read(Path(path), "capture"))


def _set_folders(name: str, folder: Path) -> Iterator[tuple[CaptureId, tuple[str, str]]]:
    """Captures of FaceScape's imgs, or of one of its people, with no scans."""
    own = _expressions(folder)
    if own and folder.resolve().name.isdecimal():
        people = {int(folder.resolve().name): own}
    else:
        people = {
            int(path.name): _expressions(path)
            for path in folder.iterdir()
            if path.name.isdecimal() and path.is_dir()
        }
    if not any(people.values()):
        raise ConfigurationError(
            f"captures.{name}.folder: {folder}",
            f"{_FORMS}; or <person>/<k_expression>/params.json (FaceScape's imgs)",
            _some(sorted(path.name for path in folder.iterdir())),
            "give the folder of one capture, or FaceScape's folder imgs",
        )
    for person, expressions in people.items():
        for number, path in expressions.items():
            yield CaptureId(person, number), (str(path), "")


def _expressions(folder: Path) -> dict[int, Path]:
    """Folders of captures of one person, by the number of the expression."""
    found = {}
    for path in folder.iterdir():
        match = _EXPRESSION.fullmatch(path.name)
        if match and path.is_dir() and (path / "params.json").exists():
            found[int(match[1])] = path
    return found


def _only_for_sets(name: str, entry: CaptureEntry) -> None:
    keys = ("meshes", "scales", "select", "ids", "split", "people", "expressions")
    given = [key for key in keys if getattr(entry, key) is not None]
    if given:
        raise ConfigurationError(
            f"captures.{name}: {', '.join(given)}",
            f"a set of captures in {entry.folder}: <person>/<k_expression>/params.json",
            "one capture",
            "remove these keys (unit_mm and scan are those of one capture), or give the folder of the set",
        )


def _needs_cameras(name: str, entry: CaptureEntry) -> None:
    given = [key for key in ("unit_mm", "scan") if getattr(entry, key) is not None]
    if given:
        raise ConfigurationError(
            f"captures.{name}: {', '.join(given)}",
            "cameras in the folder (params.json, cameras.json, sparse/): this speaks of their world",
            "photos alone, whose cameras get a world and a unit of their own",
            "remove these keys, or add the cameras",
        )


def _existing(key: str, path: str) -> str:
    if not Path(path).is_file():
        raise ConfigurationError(f"{key}: {path}", "a file", "nothing", "correct the path")
    return path


def _files(capture: PlannedCapture, suffixes: Collection[str]) -> list[str]:
    folder = Path(capture.folder)
    names = [name for name in ("params.json", "cameras.json") if (folder / name).exists()]
    model = colmap_model_folder(folder)
    if model is not None:
        names += sorted(os.path.relpath(path, folder) for path in model.glob("*.[tb][xi][tn]"))
    return [*names, *photo_files(folder, suffixes)]


def _version(capture: PlannedCapture, name: str) -> list[Any]:
    try:
        status = os.stat(Path(capture.folder) / name)
    except OSError:
        return [name, -1, -1]
    return [name, status.st_size, status.st_mtime_ns]


def _capture(values: Mapping[str, Any]) -> PlannedCapture:
    select = None if values["select"] is None else tuple(values["select"])
    made_by, scan_made_by = tuple(values["made_by"]), tuple(values["scan_made_by"])
    texts = [values[name] for name in ("name", "person", "kind", "folder", "unit_source", "scan", "entry")]
    whole = all(type(number) is int for number in select or ())
    if not whole or not all(isinstance(text, str) for text in (*texts, *made_by, *scan_made_by)):
        raise ValueError("values of other kinds")
    if values["unit_mm"] is not None and not 0 < values["unit_mm"] < float("inf"):
        raise ValueError("unit_mm is no length")
    return replace(PlannedCapture(**values), select=select, made_by=made_by, scan_made_by=scan_made_by)


def _write_if_changed(path: Path, value: Any) -> None:
    text = json.dumps(value) + "\n"
    if not path.exists() or path.read_bytes() != text.encode():
        write_text(path, text)


def _read(path: Path, key: str) -> Any:
    return read_json_object(path, "a plan of captures", _PLANNED, (key,), FORMAT)[key]


def _some(names: list[str]) -> str:
    return (", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")) or "nothing"
