"""A base mesh against the scan of its capture: accuracy and completeness over the face.

Both are in the world of the capture, so nothing is aligned; the same after a rigid alignment tells how much
of the error is place and how much is shape. Distances are measured as in `evaluation.scans`: from vertices to
the nearest point of the other surface, each vertex weighted by a third of the area of its triangles.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial.transform import Rotation

from facemill.evaluation.base_mesh_settings import BaseMeshEvaluationSettings
from facemill.evaluation.heat_maps import heat_map
from facemill.evaluation.registration import barycentric_weights, register
from facemill.evaluation.scans import on_border, vertex_areas, weighted_quantile
from facemill.evaluation.surface_index import index_surface
from facemill.geometry.mesh import FloatArray, IntArray, Mesh
from facemill.geometry.similarity import Similarity
from facemill.runtime.errors import FormatError
from facemill.runtime.files import atomic_path, write_json
from facemill.runtime.messages import message

#: Millimetres from the base mesh beyond which a scan vertex belongs to something else (hair, a collar).
REACH = 30.0
SHARES = {"median": 0.5, "p90": 0.9, "p95": 0.95}
FEWEST = 100
STEERING = 20_000  # scan vertices that decide the rigid alignment; all are measured
STILL = Similarity(1.0, np.eye(3), np.zeros(3))


@dataclass(frozen=True)
class Distances:
    """mm (N,) of counted vertices, their areas (N,), and their ids (N,)."""

    values: FloatArray
    areas: FloatArray
    ids: IntArray

    def figures(self, within: tuple[float, ...]) -> dict[str, Any]:
        """Mean, median and percentiles in mm, and shares within so many mm, all weighted by area."""
        return {
            "mean": float(np.average(self.values, weights=self.areas)),
            **{name: weighted_quantile(self.values, self.areas, share) for name, share in SHARES.items()},
            "max": float(self.values.max()),
            "within": {
                f"{limit:g}": float(self.areas[self.values <= limit].sum() / self.areas.sum())
                for limit in within
            },
            "vertices": len(self.values),
        }


@dataclass(frozen=True)
class BaseMeshComparison:
    """What `evaluate_base_mesh` measures.

    accuracy: from the face of the base mesh to the scan. completeness: from the scan's face to the base mesh.
    aligned_accuracy, aligned_completeness: the same once the base mesh was moved rigidly to the scan.
    alignment: that movement. border_vertices: of the face, beside the scan's border, not counted.
    """

    accuracy: Distances
    completeness: Distances
    aligned_accuracy: Distances
    aligned_completeness: Distances
    alignment: Similarity
    border_vertices: int

    def summary(self, settings: BaseMeshEvaluationSettings) -> dict[str, Any]:
        """The figures as `result.json` holds them."""
        middle = np.zeros((1, 3))
        turn = float(np.degrees(Rotation.from_matrix(self.alignment.rotation).magnitude()))
        return {
            "accuracy": self.accuracy.figures(settings.within),
            "completeness": self.completeness.figures(settings.within),
            "aligned": {
                "accuracy": self.aligned_accuracy.figures(settings.within),
                "completeness": self.aligned_completeness.figures(settings.within),
                "turn_degrees": turn,
                "shift": float(np.linalg.norm(self.alignment.apply(middle))),
            },
            "border_vertices": self.border_vertices,
        }


def compare_base_mesh(base: Mesh, face: NDArray[np.bool_], scan: Mesh) -> BaseMeshComparison:
    """Measure a base mesh against a scan in the same frame, millimetres, near its origin.

    Accuracy counts the vertices of `face` of which no nearest point lies on the border of the scan: there the
    scan does not reach. Completeness counts the scan's vertices whose nearest point on the base mesh lies in
    the face (its three corners outweigh the others) and no farther than 30 mm. The rigid alignment is the one
    with the least sum of squares over some 20,000 of these; what counts is chosen before it, and stays.

    Args:
        face: (V,) bool, vertices of the base mesh that count.
    Raises:
        FormatError: a surface without triangles, or the two lie apart.
    """
    for mesh, name in ((base, "the base mesh"), (scan, "the scan")):
        if not len(mesh.triangles) or not vertex_areas(mesh).any():
            raise FormatError(
                f"{name} has no surface",
                "triangles with an area",
                f"{len(mesh.triangles)} triangles",
                "give the scan as a surface",
            )
    base_index, scan_index = (index_surface(mesh.vertices, mesh.triangles) for mesh in (base, scan))
    base_areas, scan_areas = vertex_areas(base), vertex_areas(scan)
    base_ids = np.flatnonzero(face & (base_areas > 0))
    border = on_border(scan_index, scan_index.closest(base.vertices[base_ids]))
    base_ids = base_ids[~border]
    all_scan_ids = np.flatnonzero(scan_areas > 0)
    nearest = base_index.closest(scan.vertices[all_scan_ids])
    corners = base_index.triangles[nearest.triangle_ids]
    share = (barycentric_weights(base_index, nearest) * face[corners]).sum(axis=1)
    edge = on_border(base_index, nearest)
    scan_ids = all_scan_ids[(share > 0.5) & ~edge & (nearest.distances <= REACH)]
    if min(len(base_ids), len(scan_ids)) < FEWEST:
        raise FormatError(
            "base mesh and scan lie apart",
            "two surfaces in the world of the cameras, in the unit of the capture",
            f"{len(scan_ids)} scan vertices within {REACH:g} mm of the face",
            "check scan and unit_mm of the capture",
        )
    steering = scan_ids[:: max(1, len(scan_ids) // STEERING)]
    moved = register(scan.vertices[steering], base_index, STILL, with_scale=False)
    alignment = moved.scan_from_prediction

    def measured(movement: Similarity) -> tuple[Distances, Distances]:
        there = scan_index.closest(movement.apply(base.vertices[base_ids]))
        back = base_index.closest(movement.inverse().apply(scan.vertices[scan_ids]))
        return (
            Distances(there.distances, base_areas[base_ids], base_ids),
            Distances(back.distances, scan_areas[scan_ids], scan_ids),
        )

    return BaseMeshComparison(*measured(STILL), *measured(alignment), alignment, int(border.sum()))


def evaluate_base_mesh(
    name: str,
    base: Mesh | None,
    face: NDArray[np.bool_],
    scan: Mesh | None,
    problem: tuple[str, str],
    settings: BaseMeshEvaluationSettings,
    summary: str | Path,
    picture: str | Path,
) -> None:
    """Write `result.json` and the base mesh coloured by its distance to the scan, upright.

    Args:
        name: of the capture.
        base, scan: in the head frame, millimetres; None where there is none.
        face: (V,) bool, what counts.
        problem: status and reason of a capture without a mesh or without a readable scan.
    """
    told: dict[str, Any] = {"protocol": "base_mesh", "status": "ok", "reason": ""}
    if base is None or scan is None:
        told["status"], told["reason"] = problem
    else:
        try:
            comparison = compare_base_mesh(base, face, scan)
        except FormatError as error:
            told["status"], told["reason"] = "bad_scan", f"{name}: {error.sentence}"
        else:
            write_json(summary, told | comparison.summary(settings))
            _save(_drawn(comparison, base, settings, name), picture)
            return
    write_json(summary, told)
    _save(message(f"{name}: {told['status']}: {told['reason']}"), picture)


def _drawn(
    comparison: BaseMeshComparison, base: Mesh, settings: BaseMeshEvaluationSettings, name: str
) -> Image.Image:
    measured = comparison.accuracy
    median = weighted_quantile(measured.values, measured.areas, SHARES["median"])
    return heat_map(
        base.vertices,
        base.triangles,
        measured.ids,
        measured.values,
        np.array([1.0, 0.0, 0.0]),
        np.array([0.0, 0.0, 1.0]),
        settings.heat_map_end,
        f"{name}: base mesh to scan, median {median:.2f} mm",
    )


def _save(picture: Image.Image, path: str | Path) -> None:
    with atomic_path(path) as partial:
        picture.save(partial, format="PNG")
