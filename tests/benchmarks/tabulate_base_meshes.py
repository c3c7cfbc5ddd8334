"""Landmarks and base meshes of captures against the truth: the tables of docs/triangulate_landmarks.md and
docs/fit_base_mesh.md.

snakemake --configfile config/benchmark_captures.yaml -- results/benchmark_captures/multiview/captures.csv
python tests/benchmarks/tabulate_base_meshes.py [folder of the run] [--again]

Reads a run of synthetic captures: its base meshes and triangulated landmarks, true landmarks and surfaces.
What the run does not have it makes here: the fit to landmarks alone (`image_evidence: false`), and landmarks
of perfect detections: the true points in the true cameras and lenses, undistorted and triangulated with the
cameras that the capture tells. What a mesh tells of its deviation is compared with its vertices' distances.
Nothing is aligned; means over the people of each person's figure, mm.
`--again` fits the base meshes anew, from the run's landmarks: what a change of the fit does.
"""

import sys
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from facemill.coarse.expression_space import expression_space
from facemill.evaluation.surface_index import SurfaceIndex, index_surface
from facemill.faces.landmark_offsets import landmark_offsets
from facemill.formats.base_meshes import BaseMesh, read_base_mesh
from facemill.formats.captures import Capture, read_capture_file
from facemill.formats.facescape import CaptureView, read_capture
from facemill.formats.meshes import read_mesh
from facemill.geometry.camera import project
from facemill.geometry.mesh import Mesh
from facemill.models.head import load_head
from facemill.multiview.base_mesh.fit import capture_files, fit_base_mesh
from facemill.multiview.base_mesh.settings import FitBaseMeshSettings
from facemill.multiview.capture_plan import PlannedCapture, read_plan
from facemill.multiview.landmark_settings import TriangulateSettings
from facemill.multiview.triangulation import triangulate
from facemill.multiview.view_geometry import Pinholes
from facemill.runtime.files import load_arrays

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "results" / "benchmark_captures"
MODEL = load_head(ROOT / "resources" / "models" / "head.npz")
SETTINGS = FitBaseMeshSettings()
OFFSETS = landmark_offsets(MODEL.topology, SETTINGS.landmark_convention)
INNER = slice(17, 68)
EXTENT = 0.7  # of outer eye distance + nose length, around the base of the nose: as NoW crops
EVERY = 7  # of the true surface's vertices that are measured: they lie 0.3 mm apart
PERFECT = 0.1  # px: what agrees of perfect detections (cameras are off by 0.3 px), times FAR
FAR = 30.0

Figures = dict[str, float]


@dataclass(frozen=True)
class Case:
    """One capture of the run, in `run`, with its truth."""

    run: Path
    planned: PlannedCapture

    @property
    def name(self) -> str:
        return self.planned.name

    def given(self, path: str) -> Path:
        """A path of the plan, which is relative to where the workflow ran: <there>/results/<run>."""
        return self.run.resolve().parents[1] / path

    @property
    def places(self) -> tuple[Path, Path, Path]:
        """capture.json, landmarks.npz, landmarks.json."""
        folder = self.run / "multiview" / self.name
        landmarks = folder / "triangulate_landmarks"
        return (
            folder / "prepare_capture" / "capture.json",
            landmarks / "landmarks.npz",
            landmarks / "landmarks.json",
        )

    @cached_property
    def capture(self) -> Capture:
        return read_capture_file(self.places[0])

    @property
    def truth_folder(self) -> Path:
        """Beside imgs/<person>/<expression>."""
        images = self.given(self.planned.folder)
        return images.parents[2] / "truth" / images.parent.name / images.name

    @cached_property
    def true_landmarks(self) -> np.ndarray:
        return load_arrays(self.truth_folder / "truth.npz")["landmarks68"]

    @cached_property
    def scan(self) -> Mesh:
        """The true surface."""
        return read_mesh(self.given(self.planned.scan))

    def around_nose(self, points: np.ndarray) -> np.ndarray:
        """(N,) bool: which points (N, 3) are near the base of the nose."""
        at = self.true_landmarks
        reach = EXTENT * (np.linalg.norm(at[36] - at[45]) + np.linalg.norm(at[27] - at[33]))
        return np.asarray(np.linalg.norm(points - at[33], axis=1) < reach)

    @property
    def fitted(self) -> BaseMesh:
        """The base mesh of the run."""
        arrays = self.run / "multiview" / "fit_base_mesh" / f"{self.planned.person}.npz"
        mesh = read_base_mesh(arrays, arrays.with_suffix(".json"), self.name).mesh
        if mesh is None:
            raise SystemExit(f"{self.name} has no base mesh: see {arrays.with_suffix('.json')}")
        return mesh

    def fitted_again(self, image_evidence: bool) -> BaseMesh:
        """Fitted here, with photos or to landmarks alone."""
        capture, arrays, report = map(str, self.places)
        settings = SETTINGS.model_copy(update={"image_evidence": image_evidence})
        space = expression_space(MODEL, settings.strength_deviation, settings.expression_deviation)
        files = capture_files([self.name], [capture], [arrays], [report])
        return fit_base_mesh(files, space, OFFSETS, settings)[0][0]


def surface_figures(case: Case, mesh: BaseMesh) -> tuple[float, float]:
    """Median and 95th percentile of the distance from the true surface to the mesh."""
    index: SurfaceIndex = index_surface(mesh.vertices, MODEL.topology.triangles.numpy())
    some = case.scan.vertices[::EVERY]
    distances = index.closest(some[case.around_nose(some)]).distances
    return float(np.median(distances)), float(np.percentile(distances, 95))


def calibration(case: Case, mesh: BaseMesh) -> tuple[float, float]:
    """What the mesh tells of its vertices: 68 and 95 % of their distances are below so many deviations."""
    index: SurfaceIndex = index_surface(case.scan.vertices, case.scan.triangles)
    counted = MODEL.topology.regions["face"].numpy() & case.around_nose(mesh.vertices)
    ratios = index.closest(mesh.vertices[counted]).distances / mesh.deviation[counted]
    return float(np.percentile(ratios, 68)), float(np.percentile(ratios, 95))


def landmark_error(case: Case, points: np.ndarray) -> float:
    """Mean distance of the inner landmarks that were found."""
    return float(np.nanmean(np.linalg.norm(points - case.true_landmarks, axis=1)[INNER]))


def perfect_landmarks(case: Case) -> np.ndarray:
    """(68, 3), triangulated from true detections in all views: profiles are no guesses here."""
    used = case.capture.used
    true = {str(view.number): view for view in read_capture(case.truth_folder, need_photos=False)}
    given = {str(view.number): view for view in read_capture(case.given(case.planned.folder))}
    points = torch.from_numpy(case.true_landmarks)
    pixels = np.stack([_in_prepared(points, true[view.name], given[view.name]) for view in used])
    limit = np.full(len(used), PERFECT)
    settings = TriangulateSettings()
    return triangulate(Pinholes.of_views(used), pixels, FAR * limit, limit, settings.min_angle).points


def _in_prepared(points: torch.Tensor, true: CaptureView, given: CaptureView) -> np.ndarray:
    """Where a true camera with its lens shows points, undistorted as the capture tells."""
    ideal = project(points, true.camera).pixels.numpy()
    photo = true.lens.distort_pixels(ideal, true.camera.intrinsics.numpy())
    return given.lens.undistort_pixels(photo, given.camera.intrinsics.numpy())


def figures_of(case: Case, again: bool) -> Figures:
    """All figures of one capture."""
    mesh = case.fitted_again(image_evidence=True) if again else case.fitted
    alone = case.fitted_again(image_evidence=False)
    detected = load_arrays(case.places[1])["points"]
    turned = OFFSETS.numpy() @ mesh.rotation.T * mesh.scale
    median, high = surface_figures(case, mesh)
    alone_median, alone_high = surface_figures(case, alone)
    within, nearly_all = calibration(case, mesh)
    return {
        "views": len(case.capture.views),
        "perfect": landmark_error(case, perfect_landmarks(case)),
        "detected": landmark_error(case, detected),
        "without offsets": landmark_error(case, detected - turned),
        "vertices": landmark_error(case, mesh.vertices[MODEL.topology.landmarks68.numpy()]),
        "alone median": alone_median,
        "alone 95": alone_high,
        "median": median,
        "95": high,
        "told": float(np.median(mesh.deviation)),
        "68 % below": within,
        "95 % below": nearly_all,
    }


def main() -> None:
    folders = [argument for argument in sys.argv[1:] if argument != "--again"]
    run = Path(folders[0]) if folders else RUN
    by_views = defaultdict(list)
    print("capture                 perfect  dlib  -offsets  vertices | alone       | base mesh    | told")
    for planned in read_plan(run / "multiview" / "plan"):
        found = figures_of(Case(run, planned), "--again" in sys.argv)
        by_views[found["views"]].append(found)
        print(f"{planned.name:24}" + "  ".join(f"{found[key]:.3f}" for key in list(found)[1:]), flush=True)
    rows = {
        views: {key: float(np.mean([one[key] for one in some])) for key in some[0]}
        for views, some in sorted(by_views.items())
    }
    print("\n| views | perfect detections | dlib | dlib, offsets taken off | vertices of the base mesh |")
    print("|---|---|---|---|---|")
    for views, row in rows.items():
        print(
            f"| {views} | {row['perfect']:.3f} | {row['detected']:.2f} | {row['without offsets']:.2f} "
            f"| {row['vertices']:.2f} |"
        )
    print("\n| views | landmarks alone: median | 95 % below | base mesh: median | 95 % below | better by |")
    print("|---|---|---|---|---|---|")
    for views, row in rows.items():
        print(
            f"| {views} | {row['alone median']:.2f} | {row['alone 95']:.2f} | **{row['median']:.3f}** "
            f"| {row['95']:.2f} | {1 - row['median'] / row['alone median']:.0%} |"
        )
    print("\n| views | deviation told (median of the whole head) | 68 % of distances below | 95 % below |")
    print("|---|---|---|---|")
    for views, row in rows.items():
        print(f"| {views} | {row['told']:.2f} mm | {row['68 % below']:.2f} of it | {row['95 % below']:.2f} |")
    worst = {key: max(one[key] for some in by_views.values() for one in some) for key in rows[min(rows)]}
    print(
        f"\nworst: landmarks alone {worst['alone median']:.2f} / {worst['alone 95']:.2f}, "
        f"base mesh {worst['median']:.2f} / {worst['95']:.2f}"
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
