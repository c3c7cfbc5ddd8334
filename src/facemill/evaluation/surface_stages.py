"""The surfaces that multi-view stages leave, one after another, against one scan: which stage gains what.

All surfaces lie in the frame of the capture, so nothing is aligned. Distances are measured as in
`evaluation.scans`: from vertices to the nearest point of the other surface, each vertex weighted by a third
of the area of its triangles. Which scan vertices count is decided once, on the base mesh, so that all stages
are judged at the same points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from facemill.evaluation.detail_case import angles
from facemill.evaluation.registration import barycentric_weights
from facemill.evaluation.scans import Border, find_border, vertex_areas, weighted_quantile
from facemill.evaluation.surface_index import SurfaceIndex, index_surface
from facemill.evaluation.surface_settings import SurfaceEvaluationSettings
from facemill.evaluation.visibility import visible_from_outside
from facemill.geometry.closest_point import ClosestPoints
from facemill.geometry.mesh import FloatArray, IntArray, Mesh, vertex_normals
from facemill.runtime.errors import FormatError

FEWEST = 100
HIDDEN = 3.0  # mm from the base mesh beyond which a scan vertex must be seen from outside
OUT_OF_THE_FACE = np.array([0.0, 0.0, 1.0])  # of the head frame
PERCENTILES = {"median": 0.5, "p90": 0.9, "p95": 0.95}
BASE = "base"

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class VisibleFace:
    """The base mesh of a capture, N vertices, and what of it counts.

    mesh: head frame, millimetres. counted: (N,) vertices of the bare face that enough views see.
    regions: name -> (N,); they need not cover the face.
    """

    mesh: Mesh
    counted: BoolArray
    regions: Mapping[str, BoolArray]


@dataclass(frozen=True)
class StageSurface:
    """What one stage left.

    name: of the stage. mesh: in the frame of the base mesh, with any vertices; None where there is none.
    reason: why there is none. known: (N,) vertices of the BASE mesh at which the stage measured something,
    for surfaces with holes; None of a surface without holes.
    """

    name: str
    mesh: Mesh | None
    reason: str = ""
    known: BoolArray | None = None


@dataclass(frozen=True)
class PreparedSurface:
    """A surface that many points are compared with."""

    index: SurfaceIndex
    border: Border


@dataclass(frozen=True)
class ScanPoints:
    """The P scan vertices at which every stage is judged.

    ids: (P,) in the scan; points (P, 3); normals (P, 3), outwards, of unit length; areas: (P,) square mm.
    corners: (P, 3) vertices of the base triangle that is nearest; place: (P,) that one of the three which
    has the greatest share.
    """

    ids: IntArray
    points: FloatArray
    normals: FloatArray
    areas: FloatArray
    corners: IntArray
    place: IntArray


@dataclass(frozen=True)
class StageErrors:
    """One stage, measured.

    completeness: (P,) mm from the scan points to the surface; inf where it has a hole.
    normal_errors: (P,) degrees between the two normals, 0..180; NaN in holes.
    accuracy: (Q,) mm from those vertices of the surface that count to the scan; areas: (Q,) square mm;
    place: (Q,) the nearest vertex of the base mesh.
    """

    name: str
    completeness: FloatArray
    normal_errors: FloatArray
    accuracy: FloatArray
    accuracy_areas: FloatArray
    accuracy_place: IntArray

    @property
    def covered(self) -> BoolArray:
        """(P,) scan points at which there is a surface."""
        return np.isfinite(self.completeness)


@dataclass(frozen=True)
class StageComparison:
    """All stages of one capture at the same scan points; `missing` has name -> reason of the others."""

    face: VisibleFace
    points: ScanPoints
    stages: tuple[StageErrors, ...]
    missing: Mapping[str, str]

    def summary(self, settings: SurfaceEvaluationSettings) -> dict[str, Any]:
        """The figures as `result.json` holds them, see docs/evaluate_surface.md."""
        everywhere = np.ones(len(self.face.mesh.vertices), dtype=bool)
        common = np.logical_and.reduce([stage.covered for stage in self.stages])
        stages: dict[str, Any] = {}
        for stage in self.stages:
            stages[stage.name] = self._figures(stage, everywhere, settings)
            stages[stage.name]["common"] = self._completeness(stage, common, settings)
            stages[stage.name]["regions"] = {
                name: self._figures(stage, region, settings)
                for name, region in self.face.regions.items()
                if region[self.points.place].any()
            }
        areas = self.points.areas
        return {
            "scan_points": len(self.points.ids),
            "scan_area": float(areas.sum()),
            "common": float(areas[common].sum() / areas.sum()),
            "stages": stages,
            "missing": dict(self.missing),
        }

    def _figures(
        self, stage: StageErrors, region: BoolArray, settings: SurfaceEvaluationSettings
    ) -> dict[str, Any]:
        """Of a region (N,) of the base mesh, which holds at least one scan point."""
        here, areas = region[self.points.place], self.points.areas
        there = region[stage.accuracy_place]
        known = here & stage.covered
        return {
            "coverage": float(areas[known].sum() / areas[here].sum()),
            "completeness": self._completeness(stage, known, settings),
            "completeness_of_all": self._completeness(stage, here, settings),
            "accuracy": distance_figures(stage.accuracy[there], stage.accuracy_areas[there], settings.within),
            "normal_error": angle_figures(stage.normal_errors[known], areas[known]),
        }

    def _completeness(
        self, stage: StageErrors, chosen: BoolArray, settings: SurfaceEvaluationSettings
    ) -> dict[str, Any] | None:
        return distance_figures(stage.completeness[chosen], self.points.areas[chosen], settings.within)


def distance_figures(values: FloatArray, areas: FloatArray, within: Sequence[float]) -> dict[str, Any] | None:
    """Mean, median, percentiles in mm and shares within so many mm, weighted by area; None of no values.

    Values may be infinite (a miss): then a figure that has no finite value is None.
    """
    if not len(values):
        return None
    told = {"mean": float(np.average(values, weights=areas))}
    told |= {name: weighted_quantile(values, areas, share) for name, share in PERCENTILES.items()}
    told["max"] = float(values.max())
    return {
        **{name: value if np.isfinite(value) else None for name, value in told.items()},
        "within": {f"{limit:g}": float(areas[values <= limit].sum() / areas.sum()) for limit in within},
        "vertices": len(values),
    }


def angle_figures(values: FloatArray, areas: FloatArray) -> dict[str, float] | None:
    """Mean, median and 90th percentile in degrees, weighted by area; None of no values."""
    if not len(values):
        return None
    return {
        "mean": float(np.average(values, weights=areas)),
        "median": weighted_quantile(values, areas, 0.5),
        "p90": weighted_quantile(values, areas, 0.9),
    }


def measure_stages(
    scan: Mesh, face: VisibleFace, stages: Sequence[StageSurface], settings: SurfaceEvaluationSettings
) -> StageComparison:
    """Measure surfaces against a scan in the same frame, millimetres.

    The base mesh is measured, too, as the first stage. Scan vertices count as `choose_scan_points` says.
    Of a stage those vertices count for the accuracy whose nearest point on the base mesh is no border and
    has the greatest share of a counted vertex, and whose nearest point on the scan is not the border of the
    scan, which does not reach there. A scan point lies in a hole of a stage where one of the three corners
    of its base triangle is not known to it.

    Raises:
        FormatError: the base mesh or the scan has no surface, or they lie apart.
        ValueError: `known` or a region does not fit the base mesh.
    """
    for mesh, name in ((face.mesh, "the base mesh"), (scan, "the scan")):
        if not _has_surface(mesh):
            raise FormatError(
                f"{name} has no surface",
                "triangles with an area",
                f"{len(mesh.triangles)} triangles",
                "give the scan as a surface, and the base mesh of a face that views see",
            )
    base_surface, scan_surface = _prepared(face.mesh), _prepared(scan)
    points = choose_scan_points(scan, face, base_surface, settings.reach)
    measured, missing = [], {}
    for stage in (StageSurface(BASE, face.mesh), *stages):
        if stage.known is not None and stage.known.shape != face.counted.shape:
            raise ValueError(f"{stage.name}: known: expected {face.counted.shape}, found {stage.known.shape}")
        if stage.mesh is None:
            missing[stage.name] = stage.reason
        elif not _has_surface(stage.mesh):
            missing[stage.name] = "it knows no part of the surface"
        else:
            measured.append(_measure(stage, stage.mesh, face, points, base_surface, scan_surface))
    return StageComparison(face, points, tuple(measured), missing)


def choose_scan_points(scan: Mesh, face: VisibleFace, base: PreparedSurface, reach: float) -> ScanPoints:
    """The vertices of a scan that show the visible face.

    Counted are those whose nearest point on the base mesh is no farther than `reach` mm, not on its border,
    belongs to counted vertices (by more than half of its weights), and faces the same way as the scan (the
    back of a scan with two sides does not). A scan all of whose triangles run the wrong way is turned first.
    Vertices more than 3 mm away count only if they can be seen from outside, since scans also have the inside
    of the mouth and the back of the eyes.

    Raises:
        FormatError: too few are left: the two lie apart.
    """
    areas = vertex_areas(scan)
    vertices = face.mesh.vertices[np.unique(face.mesh.triangles)]
    near = (scan.vertices >= vertices.min(axis=0) - reach) & (scan.vertices <= vertices.max(axis=0) + reach)
    candidates = np.flatnonzero(near.all(axis=1) & (areas > 0))
    nearest = base.index.closest(scan.vertices[candidates])
    weights = barycentric_weights(base.index, nearest)
    corners = base.index.triangles[nearest.triangle_ids]
    allowed = (nearest.distances <= reach) & ((weights * face.counted[corners]).sum(axis=1) > 0.5)
    allowed[allowed] = ~base.border.holds(_rows(nearest, allowed))
    normals = _normals(scan.vertices, scan.triangles)[candidates]
    agreement = np.einsum("nc,nc->n", normals, normals_at(base.index, nearest))
    turn = -1.0 if allowed.any() and np.median(agreement[allowed]) < 0 else 1.0
    allowed &= turn * agreement > 0
    far = allowed & (nearest.distances > HIDDEN)
    allowed[far] = visible_from_outside(scan.vertices, scan.triangles, candidates[far], OUT_OF_THE_FACE)
    if allowed.sum() < FEWEST:
        raise FormatError(
            "base mesh and scan lie apart",
            "two surfaces in one frame, in millimetres, of a face that several views see",
            f"{int(allowed.sum())} scan vertices within {reach:g} mm of the visible face",
            "check scan and unit_mm of the capture",
        )
    ids = candidates[allowed]
    corners = corners[allowed]
    place = corners[np.arange(len(ids)), weights[allowed].argmax(axis=1)]
    return ScanPoints(ids, scan.vertices[ids], turn * normals[allowed], areas[ids], corners, place)


def normals_at(surface: SurfaceIndex, closest: ClosestPoints) -> FloatArray:
    """(N, 3) normals of the vertices (weighted by area), interpolated at points of a surface; unit length."""
    normals = _normals(surface.vertices, surface.triangles)[surface.triangles[closest.triangle_ids]]
    mixed = (normals * barycentric_weights(surface, closest)[:, :, None]).sum(axis=1)
    length = np.linalg.norm(mixed, axis=1, keepdims=True)
    return np.divide(mixed, length, out=np.zeros_like(mixed), where=length > 0)


def _measure(
    stage: StageSurface,
    mesh: Mesh,
    face: VisibleFace,
    points: ScanPoints,
    base: PreparedSurface,
    scan: PreparedSurface,
) -> StageErrors:
    index = index_surface(mesh.vertices, mesh.triangles)
    nearest = index.closest(points.points)
    turned = angles(normals_at(index, nearest), points.normals)
    covered = (
        np.ones(len(points.ids), dtype=bool) if stage.known is None else stage.known[points.corners].all(1)
    )
    areas = vertex_areas(mesh)
    ids = np.flatnonzero(areas > 0)
    on_base = base.index.closest(mesh.vertices[ids])
    weights = barycentric_weights(base.index, on_base)
    corners = base.index.triangles[on_base.triangle_ids]
    counted = (weights * face.counted[corners]).sum(axis=1) > 0.5
    counted[counted] = ~base.border.holds(_rows(on_base, counted))
    place = corners[np.arange(len(ids)), weights.argmax(axis=1)]
    ids, place = ids[counted], place[counted]
    on_scan = scan.index.closest(mesh.vertices[ids])
    inside = ~scan.border.holds(on_scan)
    return StageErrors(
        stage.name,
        np.where(covered, nearest.distances, np.inf),
        np.where(covered, turned, np.nan),
        on_scan.distances[inside],
        areas[ids][inside],
        place[inside],
    )


def _prepared(mesh: Mesh) -> PreparedSurface:
    index = index_surface(mesh.vertices, mesh.triangles)
    return PreparedSurface(index, find_border(index))


def _rows(closest: ClosestPoints, chosen: BoolArray) -> ClosestPoints:
    return ClosestPoints(
        closest.squared_distances[chosen], closest.points[chosen], closest.triangle_ids[chosen]
    )


def _has_surface(mesh: Mesh) -> bool:
    return bool(len(mesh.triangles)) and bool(vertex_areas(mesh).any())


def _normals(vertices: FloatArray, triangles: IntArray) -> FloatArray:
    """Vertex normals weighted by area, of unit length, or 0."""
    points = torch.from_numpy(np.ascontiguousarray(vertices, dtype=np.float64))
    return vertex_normals(points, torch.from_numpy(np.ascontiguousarray(triangles)), "area").numpy()
