"""What the rule `evaluate_surface` writes: figures of all stages, and their heat maps under one scale."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facemill.evaluation.heat_maps import heat_map_columns
from facemill.evaluation.surface_settings import SurfaceEvaluationSettings
from facemill.evaluation.surface_stages import (
    BASE,
    StageComparison,
    StageSurface,
    VisibleFace,
    measure_stages,
)
from facemill.formats.benchmarks import read_cost
from facemill.geometry.mesh import Mesh
from facemill.runtime.errors import FormatError
from facemill.runtime.files import atomic_path, write_json
from facemill.runtime.messages import message

PROTOCOL = "surface_stages"
ALL = 0.9995  # share of the face from which on a stage is said to have found all
AROUND = 25.0  # mm around the counted points that the pictures show of the scan


class Surface(Protocol):
    """What a stage left, see `StageSurface`."""

    @property
    def mesh(self) -> Mesh | None: ...

    @property
    def reason(self) -> str: ...

    @property
    def known(self) -> NDArray[np.bool_] | None: ...


class Surfaces(Protocol):
    """The stages of one capture in the head frame, mm.

    status, reason: of the capture. base: the base mesh over its face, N vertices; None unless it is `ok`.
    seen: (N,) how many views see each vertex. regions: name -> (N,) bool. stages: in their order.
    """

    @property
    def status(self) -> str: ...

    @property
    def reason(self) -> str: ...

    @property
    def base(self) -> Mesh | None: ...

    @property
    def seen(self) -> NDArray[np.int64]: ...

    @property
    def regions(self) -> Mapping[str, NDArray[np.bool_]]: ...

    @property
    def stages(self) -> Mapping[str, Surface]: ...


def evaluate_surface(
    name: str,
    surfaces: Surfaces,
    scan: Mesh | None,
    problem: tuple[str, str],
    settings: SurfaceEvaluationSettings,
    benchmarks: Mapping[str, str | Path],
    summary: str | Path,
    picture: str | Path,
) -> None:
    """Write `result.json` and `heat_maps.png`.

    Args:
        name: of the capture.
        scan: head frame, millimetres; None where there is none.
        problem: status and reason of a capture without a mesh or without a readable scan.
        benchmarks: of rules, by name; files that are not there are left out.
    """
    told: dict[str, Any] = {"protocol": PROTOCOL, "status": "ok", "reason": ""}
    costs = {rule: cost._asdict() for rule, path in benchmarks.items() if (cost := read_cost(path))}
    drawn = None
    if surfaces.base is None or scan is None:
        told["status"], told["reason"] = problem
    else:
        try:
            face = VisibleFace(surfaces.base, surfaces.seen >= settings.least_views, surfaces.regions)
            stages = [
                StageSurface(stage, one.mesh, one.reason, one.known) for stage, one in surfaces.stages.items()
            ]
            comparison = measure_stages(scan, face, stages, settings)
        except FormatError as error:
            told["status"], told["reason"] = "bad_scan", f"{name}: {error.sentence}"
        else:
            told |= comparison.summary(settings)
            drawn = draw_stages(name, scan, comparison, (BASE, *surfaces.stages), settings)
    write_json(summary, told | {"costs": costs})
    image = drawn or message(f"{name}: {told['status']}: {told['reason']}")
    with atomic_path(picture) as partial:
        image.save(partial, format="PNG")


def draw_stages(
    name: str,
    scan: Mesh,
    comparison: StageComparison,
    order: tuple[str, ...],
    settings: SurfaceEvaluationSettings,
) -> Image.Image:
    """The scan, coloured by the distance to the surface of each stage; what a stage did not find is grey."""
    measured = {stage.name: stage for stage in comparison.stages}
    figures = comparison.summary(settings)["stages"]
    columns = [
        (_heading(stage, figures[stage]), measured[stage].completeness, _words(figures[stage]))
        if stage in measured
        else (stage, None, f"no {stage} surface: {comparison.missing[stage]}")
        for stage in order
    ]
    points = comparison.points.points
    near = (
        (scan.vertices > points.min(axis=0) - AROUND) & (scan.vertices < points.max(axis=0) + AROUND)
    ).all(axis=1)
    return heat_map_columns(
        scan.vertices,
        scan.triangles[near[scan.triangles].all(axis=1)],
        comparison.points.ids,
        columns,
        settings.heat_map_end,
        f"{name}: distance from the scan to the surface of each stage, median / 90th percentile",
    )


def _heading(stage: str, figures: Mapping[str, Any]) -> str:
    found = figures["coverage"]
    return stage if found > ALL else f"{stage} ({100 * found:.1f} % found)"


def _words(figures: Mapping[str, Any]) -> str:
    """Median and 90th percentile, and the mean angle between normals."""
    distances, angles = figures["completeness"], figures["normal_error"]
    if distances is None or angles is None:
        return "nothing found"
    return (
        f"{distances['median']:.3f} / {distances['p90']:.3f} mm, normals {angles['mean']:.2f}\N{DEGREE SIGN}"
    )
