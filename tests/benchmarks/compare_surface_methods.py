"""Multi-view surfaces of one capture by several methods against its scan, measured in one run.

python tests/benchmarks/compare_surface_methods.py FOLDER CAPTURE [CAPTURE ...]

FOLDER is results/<run> of a run that has made `uv_maps.npz` of the captures; their scans are those of its
plan. Beside the base mesh: OpenCV's SGBM on ten rectified pairs of neighbouring views, fused, Poisson
(open3d); the classical matcher by correlation and by variance of colours, each as it is (holes filled
smoothly) and after the robust bi-Laplacian regularisation; and, if the run has made them, the implicit and
the regularised surface. Distances are those of `evaluate_surface`: from scan points of the face that two
views see to the surface, nothing aligned, weighted by area. The figures are also written to
FOLDER/compare_surface_methods.csv.
"""

import resource
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from captures_of_run import CapturesOfRun
from stereo_peer import stereo_surface

from facemill.evaluation.surface_settings import SurfaceEvaluationSettings
from facemill.evaluation.surface_stages import StageSurface, VisibleFace, measure_stages
from facemill.formats.surface_maps import OK, SurfaceMap, read_surface_map
from facemill.geometry.mesh import Mesh
from facemill.multiview.capture_files import MappedCapture
from facemill.multiview.fitted_capture import read_scan
from facemill.multiview.head_views import read_head_views
from facemill.multiview.matching.levels import filled, median_filtered
from facemill.multiview.matching.match import match_views
from facemill.multiview.matching.settings import MatchSurfaceSettings
from facemill.multiview.matching.visibility import surroundings_of
from facemill.multiview.regularization.classical import classical_surface
from facemill.multiview.regularization.settings import SurfaceSettings
from facemill.multiview.texel_grid import TexelGrid
from facemill.multiview.uv_atlas import bare_face
from facemill.runtime.devices import use_threads

THREADS = 2
SETTINGS = SurfaceEvaluationSettings()
MATCHERS = {
    "correlation": MatchSurfaceSettings(),
    "variance": MatchSurfaceSettings(score="variance"),
}
ELSEWHERE = {"implicit": "volume.npz", "regularized": "regularized.npz"}


def visible_face(opened: MappedCapture, model, seen: int) -> VisibleFace:
    """The base mesh, of which those vertices of the bare face count whose texel `seen` views see."""
    grid = opened.grid
    topology = model.topology
    uv = topology.uv.double().numpy()
    columns = np.clip(np.rint(uv[:, 0] * grid.size - 0.5).astype(int) - grid.window[1], 0, grid.window[3] - 1)
    rows = np.clip(
        np.rint((1 - uv[:, 1]) * grid.size - 0.5).astype(int) - grid.window[0], 0, grid.window[2] - 1
    )
    often = ((grid.visibility > 0).sum(axis=-1) >= seen)[rows, columns]
    counted = np.zeros(len(opened.fitted.head), dtype=bool)
    counted[topology.triangles.numpy().ravel()] = often[topology.uv_triangles.numpy().ravel()]
    counted &= bare_face(topology).numpy()
    return VisibleFace(Mesh(opened.fitted.head, topology.triangles.numpy()), counted, {})


def unregularized(grid: TexelGrid, surface: SurfaceMap) -> np.ndarray:
    """Matches as they are; where nothing was matched, smoothly from around."""
    steadied = filled(median_filtered(surface.displacement, surface.confidence, grid.mask))
    return np.where(surface.known, surface.displacement, steadied)


def regularized(grid: TexelGrid, surface: SurfaceMap) -> np.ndarray:
    """The classical regularisation of `regularize_surface`."""
    return classical_surface(grid, surface.displacement, surface.confidence, SurfaceSettings()).displacement


def surfaces_of(folder: Path, opened: MappedCapture, model) -> tuple[list[StageSurface], dict]:
    """All surfaces of a capture, and per name the seconds, queries and processor seconds they took."""
    grid, fitted = opened.grid, opened.fitted
    views = read_head_views(fitted)
    bare = fitted.head[bare_face(model.topology).numpy()]
    stages, costs = [], {}

    def timed(label, function):
        wall, processor = time.perf_counter(), time.process_time()
        result = function()
        costs[label] = {
            "seconds": time.perf_counter() - wall,
            "processor_seconds": time.process_time() - processor,
        }
        return result

    stages.append(
        StageSurface("SGBM + Poisson", timed("SGBM + Poisson", lambda: stereo_surface(views, bare)))
    )
    around = surroundings_of(grid, fitted.head, model.topology)
    for label, settings in MATCHERS.items():
        found = timed(label, lambda settings=settings: match_views(grid, views, around, settings, THREADS))
        costs[label]["queries"] = int(found.more["queries"])
        stages.append(StageSurface(label, grid.mesh(unregularized(grid, found))))
        smooth = timed(f"{label} + bi-Laplacian", lambda found=found: regularized(grid, found))
        stages.append(StageSurface(f"{label} + bi-Laplacian", grid.mesh(smooth)))
    for label, file in ELSEWHERE.items():
        path = folder / file
        read = read_surface_map(path) if path.exists() else None
        if read is not None and read.status == OK:
            stages.append(StageSurface(label, grid.mesh(unregularized(grid, read.surface))))
    return stages, costs


def compare(folder: Path, names: list[str]) -> pd.DataFrame:
    """One row per capture and method."""
    captures, rows = CapturesOfRun(folder), []
    for name in names:
        opened = captures.open(name)
        scan = opened.fitted.in_head(read_scan(captures.scan(name)))
        stages, costs = surfaces_of(captures.folder(name), opened, captures.model)
        face = visible_face(opened, captures.model, SETTINGS.least_views)
        told = measure_stages(scan, face, stages, SETTINGS).summary(SETTINGS)
        for method, figures in told["stages"].items():
            found = figures["completeness_of_all"]
            row = {"capture": name, "method": method, "median": found["median"], "p90": found["p90"]}
            row |= {f"within {limit}": share for limit, share in found["within"].items()}
            row["normal error"] = figures["normal_error"]["median"]
            rows.append(row | costs.get(method, {}))
        print(pd.DataFrame(rows).to_string(index=False, float_format="%.3f"), flush=True)
    return pd.DataFrame(rows)


def main(folder: Path, names: list[str]) -> None:
    """Measure and write the table."""
    use_threads(THREADS)
    table = compare(folder, names)
    table.to_csv(folder / "compare_surface_methods.csv", index=False)
    columns = ["median", "p90", "within 0.1", "within 0.2", "within 0.5", "normal error"]
    print(table.groupby("method", sort=False)[columns].mean().to_string(float_format="%.3f"))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]).resolve(), sys.argv[2:])
