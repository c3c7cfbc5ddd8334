"""Captures: what each stage costs at 10 views of 864 x 1296, and how it grows with views and resolution.

Processor seconds of one thread, files to files, start-up of the process and the model not counted; another
case first lets numba compile. The capture is synthetic and hard.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from facemill.coarse.expression_space import expression_space
from facemill.evaluation.base_mesh import evaluate_base_mesh
from facemill.evaluation.base_mesh_settings import BaseMeshEvaluationSettings
from facemill.faces.landmark_offsets import landmark_offsets
from facemill.formats.base_meshes import write_base_meshes
from facemill.formats.captures import read_capture_file, write_capture
from facemill.models.head import load_head
from facemill.models.morphable import LinearModel
from facemill.multiview.base_mesh.fit import capture_files, fit_base_mesh
from facemill.multiview.base_mesh.settings import FitBaseMeshSettings
from facemill.multiview.capture_plan import PlannedCapture, expand_entry
from facemill.multiview.capture_settings import CaptureEntry, PrepareCaptureSettings
from facemill.multiview.export import export_base_mesh
from facemill.multiview.fitted_capture import read_fitted, read_scan
from facemill.multiview.landmark_settings import TriangulateSettings
from facemill.multiview.landmark_views import Detectors
from facemill.multiview.map_files import make_uv_maps
from facemill.multiview.map_settings import ExportBaseMeshSettings, UvMapSettings
from facemill.multiview.overlays import read_landmarks_of_views
from facemill.multiview.prepare import Readers, prepare_capture
from facemill.multiview.triangulate import triangulate_landmarks, write_landmarks
from facemill.multiview.uv_atlas import bare_face
from facemill.photos.face_search import FaceSearch
from facemill.photos.landmarks import DETECTORS, MIRRORED_68
from facemill.photos.reading import read_photo
from facemill.photos.settings import IMAGE_SUFFIXES, DetectSettings, LandmarkSettings
from facemill.synthesis.captures import synthesize_captures
from facemill.synthesis.identities import Population
from facemill.synthesis.settings import CaptureTask

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "resources" / "models"
NAME = "bench"
VIEWS, SIDE = 10, 1296
#: Views and longer side, px: the case that counts, then with half of each.
CASES = ((VIEWS, SIDE), (VIEWS // 2, SIDE), (VIEWS, SIDE // 2))
WARM_UP = (3, 324)
STAGES = (
    "prepare_capture",
    "triangulate_landmarks",
    "fit_base_mesh",
    "export_base_mesh",
    "build_uv_maps",
    "evaluate_base_mesh",
)


def run() -> list[dict]:
    """Rows for run_all.py."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        planned = make_capture(Path(place))
        model = load_head(MODELS / "head.npz")
        costs = {case: measure(planned, model, *case, Path(place)) for case in (WARM_UP, *CASES)}
    return rows_of(costs)


def rows_of(costs: dict[tuple[int, int], dict[str, float]]) -> list[dict]:
    """Seconds of the first case, and the others as ratios to it."""
    first, fewer, smaller = (costs[case] for case in CASES)
    whole = sum(first.values())
    what = f"{VIEWS} views of {SIDE * 2 // 3} x {SIDE}"
    rows = [_row(f"capture of {what}, all stages", whole, "s")]
    for stage in STAGES:
        rows.append(_row(f"… {stage}", first[stage], "s", first[stage] / whole, "the capture"))
    for title, case in ((f"{VIEWS // 2} views", fewer), ("half the resolution", smaller)):
        rows.append(_row(f"the same, {title}", sum(case.values()), "s", sum(case.values()) / whole, what))
        for stage in STAGES:
            rows.append(_row(f"… {stage}", case[stage], "s", case[stage] / max(first[stage], 1e-9), what))
    return rows


def make_capture(place: Path) -> PlannedCapture:
    """A synthetic capture in FaceScape's layout, as the workflow plans it."""
    population = Population(None, MODELS / "head.npz", 0, MODELS / "anthropometry.csv")
    task = CaptureTask(difficulty="hard", level=1, views=VIEWS, width=SIDE * 2 // 3, height=SIDE)
    folders = {name: place / name for name in ("images", "meshes", "truth")}
    synthesize_captures(population, population.person(0), task, **folders)
    entry = CaptureEntry(
        folder=str(folders["images"] / "1_neutral"),
        unit_mm=1.0,
        scan=str(folders["meshes"] / "1_neutral.ply"),
    )
    return expand_entry(NAME, entry, IMAGE_SUFFIXES)[0]


def measure(
    planned: PlannedCapture, model: LinearModel, views: int, side: int, place: Path
) -> dict[str, float]:
    """Processor seconds of each stage on some views, reduced to `side` px."""
    folder = place / f"{views}-{side}"
    folder.mkdir()
    chosen = replace(planned, select=tuple(range(views)))
    capture = folder / "capture.json"
    landmarks = folder / "landmarks.npz", folder / "landmarks.json"
    fit = folder / "person.npz", folder / "person.json"

    def prepare() -> None:
        settings = PrepareCaptureSettings(longer_side=side)
        readers = Readers(read_photo, IMAGE_SUFFIXES)
        write_capture(
            capture,
            prepare_capture(chosen, readers, settings, views_folder=folder / "views", calibrated=()),
        )

    def triangulate() -> None:
        detector = LandmarkSettings()
        detectors = Detectors(
            read_photo, FaceSearch(DetectSettings()), DETECTORS[detector.detector](detector)
        )
        found = triangulate_landmarks(
            read_capture_file(capture), capture, detectors, MIRRORED_68, TriangulateSettings()
        )
        write_landmarks(found, *landmarks)

    def fit_mesh() -> None:
        settings = FitBaseMeshSettings()
        meshes, told = fit_base_mesh(
            capture_files([NAME], [capture], [landmarks[0]], [landmarks[1]]),
            expression_space(model, settings.strength_deviation, settings.expression_deviation),
            landmark_offsets(model.topology, settings.landmark_convention),
            settings,
            1,
        )
        write_base_meshes(*fit, NAME, meshes, told)

    fitted = partial(read_fitted, NAME, capture, *fit, model)

    def export() -> None:
        names = ("base_mesh.obj", "base_mesh.glb", "overlays.png", "geometry.png")
        marks = read_landmarks_of_views(landmarks[0])
        export_base_mesh(fitted(), model, marks, ExportBaseMeshSettings(), *(folder / name for name in names))

    def build_maps() -> None:
        files = folder / "uv_maps.npz", folder / "uv_maps.png"
        make_uv_maps(fitted(), model.topology, read_scan(planned.scan), UvMapSettings(), "head", *files)

    def evaluate() -> None:
        one, scan = fitted(), read_scan(planned.scan)
        evaluate_base_mesh(
            NAME,
            one.surface(model.topology),
            bare_face(model.topology).numpy(),
            one.in_head(scan),
            one.problem(scan),
            BaseMeshEvaluationSettings(),
            folder / "result.json",
            folder / "heat_map.png",
        )

    works = (prepare, triangulate, fit_mesh, export, build_maps, evaluate)
    return {stage: _seconds(work) for stage, work in zip(STAGES, works, strict=True)}


def _seconds(work: Callable[[], None]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def _row(name: str, value: float, unit: str, ratio: float | None = None, peer: str = "") -> dict:
    row = {"name": name, "value": value, "unit": unit}
    return row if ratio is None else {**row, "ratio": ratio, "peer": peer}
