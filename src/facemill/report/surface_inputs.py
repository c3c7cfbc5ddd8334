"""What the report shows of the surfaces of captures: files, distances of each stage to the scan, costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facemill.formats.benchmarks import Cost, read_cost
from facemill.report.capture_inputs import CaptureResults
from facemill.runtime.inputs import read_json_object

EVALUATION = Path("evaluate_surface") / "result.json"
STATUS = "surface_status"
#: Rules whose cost a capture's card tells, in the order in which they run.
RULES = (
    "prepare_capture",
    "triangulate_landmarks",
    "fit_base_mesh",
    "build_uv_maps",
    "match_surface",
    "predict_implicit",
    "regularize_surface",
    "blend_texture",
    "predict_mesoscopic",
    "displace_mesh",
    "evaluate_surface",
)
OF_PERSON = ("fit_base_mesh",)  # rules that run once for all captures of a person


@dataclass(frozen=True)
class SurfaceResults:
    """The fine surface of one capture.

    Attributes:
        name: of the capture.
        row: its row of captures.csv, all values text.
        folder: with the files of the rules after `build_uv_maps`.
        evaluation: what `evaluate_surface` wrote; None without a scan.
        costs: rule -> what its job cost, in the order of `RULES`.
    """

    name: str
    row: Mapping[str, str]
    folder: Path
    evaluation: Mapping[str, Any] | None = None
    costs: Mapping[str, Cost] = field(default_factory=dict)


def read_surfaces(
    captures: Iterable[CaptureResults], files: Iterable[str | Path], benchmarks: str | Path
) -> tuple[SurfaceResults, ...]:
    """What a run made of the surfaces of its captures.

    Args:
        captures: of `read_captures`; those whose row has no surface_status are left out.
        files: <capture>/evaluate_surface/result.json among others, which are left.
        benchmarks: the folder with Snakemake's benchmark files, <rule>/<capture>.tsv; may be missing.
    Raises:
        FormatError: a file is missing or damaged.
    """
    paths = [Path(path) for path in files]
    measured = {path.parent.parent.name: _json(path) for path in paths if path.parts[-2:] == EVALUATION.parts}
    return tuple(
        SurfaceResults(one.name, one.row, one.folder, measured.get(one.name), _costs(one, Path(benchmarks)))
        for one in captures
        if one.row.get(STATUS, "")
    )


def _costs(capture: CaptureResults, benchmarks: Path) -> dict[str, Cost]:
    found = {}
    for rule in RULES:
        name = capture.row["person"] if rule in OF_PERSON else capture.name
        cost = read_cost(benchmarks / rule / f"{name}.tsv")
        if cost is not None:
            found[rule] = cost
    return found


def _json(path: Path) -> Mapping[str, Any]:
    return read_json_object(path, "a JSON object", "make it again")
