"""A predicted surface against a scan in the same frame: accuracy, completeness, Chamfer, normals.

No protocol of the original systems is published in full. Chosen here: distances are measured from the
vertices of one surface to the nearest point of the other, each vertex weighted by a third of the area of its
triangles, so that a finer mesh is no other sample; nothing is aligned, since multi-view results share the
frame of the capture.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from facemill.evaluation.curves import cumulative_curve, curve_svg
from facemill.evaluation.heat_maps import heat_map
from facemill.evaluation.registration import barycentric_weights
from facemill.evaluation.settings import Origin, ScanSettings
from facemill.evaluation.surface_index import SurfaceIndex, index_surface
from facemill.geometry.closest_point import ClosestPoints
from facemill.geometry.mesh import FloatArray, IntArray, Mesh, boundary_edges, vertex_normals
from facemill.runtime.errors import FormatError
from facemill.runtime.files import atomic_path, write_json, write_text

METRES_RATIO = 30.0  # a surface this many times larger than the other is in another unit


@dataclass(frozen=True)
class ScanComparison:
    """Distances and angles between two surfaces.

    accuracy: (P,) mm from counted prediction vertices to the scan, `accuracy_weights` (P,) their areas.
    completeness: (S,) mm from counted scan vertices to the prediction, `completeness_weights` (S,).
    normal_errors: (S,) degrees between the scan's normal and the prediction's normal there, 0..180.
    scan_ids: (S,) the counted scan vertices.
    border_vertices: prediction vertices not counted because what is nearest to them is the scan's border.
    """

    accuracy: FloatArray
    accuracy_weights: FloatArray
    completeness: FloatArray
    completeness_weights: FloatArray
    normal_errors: FloatArray
    scan_ids: IntArray
    border_vertices: int

    def summary(self, settings: ScanSettings, origin: Origin) -> dict[str, Any]:
        """Figures in mm, degrees and shares (0..1); p90 is the 90th percentile, all weighted by area.

        chamfer: mean of the two directions, figure by figure. within: share of the scan that the prediction
        reaches to this many mm.
        """
        accuracy = figures(self.accuracy, self.accuracy_weights, settings)
        completeness = figures(self.completeness, self.completeness_weights, settings)
        names = ("mean", "median", "p90")
        return {
            "protocol": "scan",
            "origin": origin,
            "accuracy": accuracy,
            "completeness": completeness,
            "chamfer": {name: (accuracy[name] + completeness[name]) / 2 for name in names},
            "within": completeness["within"],
            "normal_error": {
                "mean": float(np.average(self.normal_errors, weights=self.completeness_weights)),
                "median": weighted_quantile(self.normal_errors, self.completeness_weights, 0.5),
            },
            "border_vertices": self.border_vertices,
        }


def evaluate_scan(
    prediction: Mesh, scan: Mesh, settings: ScanSettings, names: tuple[str, str] = ("prediction", "scan")
) -> ScanComparison:
    """Measure a prediction (F triangles, mm) against a scan in the same frame.

    Vertices of no triangle are not counted. A prediction vertex whose nearest scan point lies on the border
    of the scan is not counted in the accuracy: the scan does not reach there, so it cannot say. A scan vertex
    is always counted: what the prediction lacks is incompleteness. `settings.max_distance` limits both.

    Raises:
        FormatError: a surface without triangles or area, or the two differ so much in size or place that one
            is in another unit or frame; `names` are the files.
    """
    for mesh, name in zip((prediction, scan), names, strict=True):
        if not len(mesh.triangles) or not vertex_areas(mesh).any():
            raise FormatError(
                f"{name} has no surface",
                "triangles with an area",
                f"{len(mesh.triangles)} triangles",
                "export it again",
            )
    _check_sizes(prediction, scan, names)
    surfaces = [index_surface(mesh.vertices, mesh.triangles) for mesh in (prediction, scan)]
    areas = [vertex_areas(mesh) for mesh in (prediction, scan)]
    prediction_ids, scan_ids = (np.flatnonzero(area > 0) for area in areas)
    to_scan = surfaces[1].closest(prediction.vertices[prediction_ids])
    border = on_border(surfaces[1], to_scan)
    if border.all():
        raise FormatError(
            f"{names[0]} lies beside {names[1]}",
            "two surfaces in one frame",
            "every predicted vertex is nearest to the border of the scan",
            "give the prediction in the frame of the scan, millimetres",
        )
    to_prediction = surfaces[0].closest(scan.vertices[scan_ids])
    limit = np.inf if settings.max_distance is None else settings.max_distance
    return ScanComparison(
        np.minimum(to_scan.distances[~border], limit),
        areas[0][prediction_ids][~border],
        np.minimum(to_prediction.distances, limit),
        areas[1][scan_ids],
        _angles(scan, scan_ids, surfaces[0], to_prediction),
        scan_ids,
        int(border.sum()),
    )


def figures(distances: FloatArray, weights: FloatArray, settings: ScanSettings) -> dict[str, Any]:
    """Weighted mean, median, 90th percentile and shares within the distances of the settings."""
    return {
        "mean": float(np.average(distances, weights=weights)),
        "median": weighted_quantile(distances, weights, 0.5),
        "p90": weighted_quantile(distances, weights, 0.9),
        "within": {
            f"{limit:g}": float(weights[distances <= limit].sum() / weights.sum())
            for limit in settings.within
        },
        "vertices": len(distances),
    }


def weighted_quantile(values: FloatArray, weights: FloatArray, share: float) -> float:
    """The smallest value v such that the values up to v have at least `share` of the weight.

    >>> weighted_quantile(np.array([5.0, 1.0, 3.0]), np.array([1.0, 1.0, 2.0]), 0.5)
    3.0
    """
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, share * reached[-1] * (1 - 1e-12))])


def vertex_areas(mesh: Mesh) -> NDArray[np.float64]:
    """(V,) a third of the area of the triangles around each vertex, square mm."""
    corners = mesh.vertices[mesh.triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    return np.bincount(mesh.triangles.ravel(), np.repeat(area / 3, 3), len(mesh.vertices)).astype(np.float64)


@dataclass(frozen=True)
class Border:
    """Edges of only one triangle of a surface: `keys`, pairs of vertices; `numbers`: (V,) their ends."""

    surface: SurfaceIndex
    numbers: NDArray[np.bool_]
    keys: frozenset[tuple[int, ...]]

    def holds(self, closest: ClosestPoints) -> NDArray[np.bool_]:
        """Whether points (N,) of the surface lie on its border."""
        if not self.keys:
            return np.zeros(len(closest.points), dtype=bool)
        weights = barycentric_weights(self.surface, closest) > 1e-7
        corners = self.surface.triangles[closest.triangle_ids]
        result = np.zeros(len(corners), dtype=bool)
        for row in np.flatnonzero(
            (weights.sum(axis=1) <= 2) & (weights <= self.numbers[corners]).all(axis=1)
        ):
            used = corners[row][weights[row]]
            result[row] = len(used) == 1 or tuple(sorted(used.tolist())) in self.keys
        return result


def find_border(surface: SurfaceIndex) -> Border:
    """The border of a surface, found once for many questions."""
    edges = boundary_edges(surface.triangles)
    numbers = np.zeros(len(surface.vertices), dtype=bool)
    numbers[edges.ravel()] = True
    return Border(surface, numbers, frozenset(map(tuple, np.sort(edges, axis=1).tolist())))


def on_border(surface: SurfaceIndex, closest: ClosestPoints) -> NDArray[np.bool_]:
    """Whether closest points (N,) lie on an edge of only one triangle, or on one of its ends."""
    return find_border(surface).holds(closest)


def _angles(scan: Mesh, ids: IntArray, surface: SurfaceIndex, closest: ClosestPoints) -> NDArray[np.float64]:
    """Degrees between vertex normals of the scan and interpolated normals of the prediction."""
    theirs = _normals(scan.vertices, scan.triangles)[ids]
    normals = _normals(surface.vertices, surface.triangles)[surface.triangles[closest.triangle_ids]]
    ours = (normals * barycentric_weights(surface, closest)[:, :, None]).sum(axis=1)
    length = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    cosine = np.divide((ours * theirs).sum(axis=1), length, out=np.zeros(len(ids)), where=length > 0)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def _normals(vertices: FloatArray, triangles: IntArray) -> NDArray[np.float64]:
    """Vertex normals weighted by area, of unit length, or 0."""
    points = torch.from_numpy(np.ascontiguousarray(vertices, dtype=np.float64))
    return vertex_normals(points, torch.from_numpy(np.ascontiguousarray(triangles)), "area").numpy()


def write_scan(
    comparison: ScanComparison,
    scan: Mesh,
    settings: ScanSettings,
    origin: Origin,
    name: str,
    summary: str | Path,
    curve: str | Path,
    picture: str | Path,
) -> None:
    """Write figures (JSON), the two cumulative curves (SVG) and the scan coloured by distance (PNG).

    The picture looks against the mean normal of the scan, the y axis of its frame upwards. The curves count
    vertices, not areas.
    """
    write_json(summary, comparison.summary(settings, origin))
    curves = {
        "accuracy: prediction to scan": cumulative_curve(comparison.accuracy, settings.heat_map_end),
        "completeness: scan to prediction": cumulative_curve(comparison.completeness, settings.heat_map_end),
    }
    write_text(curve, curve_svg(curves, title=f"surface against scan: {name}", note=f"{origin} data"))
    out = (_normals(scan.vertices, scan.triangles)[comparison.scan_ids]).sum(axis=0)
    up = np.array([0.0, 1.0, 0.0])
    right = np.cross(up, out) if abs(out[1]) < 0.99 * np.linalg.norm(out) else np.array([1.0, 0.0, 0.0])
    median = weighted_quantile(comparison.completeness, comparison.completeness_weights, 0.5)
    title = f"{name}   median {median:.3f} mm"
    drawn = heat_map(
        scan.vertices,
        scan.triangles,
        comparison.scan_ids,
        comparison.completeness,
        right,
        out,
        settings.heat_map_end,
        title,
    )
    with atomic_path(picture) as partial:
        drawn.save(partial, format="PNG")


def _check_sizes(prediction: Mesh, scan: Mesh, names: tuple[str, str]) -> None:
    boxes = [mesh.vertices[np.unique(mesh.triangles)] for mesh in (prediction, scan)]
    sizes = [float(np.linalg.norm(np.ptp(box, axis=0))) for box in boxes]
    gap = np.maximum(boxes[0].min(axis=0) - boxes[1].max(axis=0), boxes[1].min(axis=0) - boxes[0].max(axis=0))
    if max(sizes) > METRES_RATIO * min(sizes) or gap.max() > max(sizes):
        raise FormatError(
            f"{names[0]} and {names[1]} do not belong together",
            "two surfaces in one frame, in millimetres",
            f"diagonals {sizes[0]:.4g} and {sizes[1]:.4g}, {max(0.0, float(gap.max())):.4g} apart",
            "give both in the same unit and frame",
        )
