"""The stages of one capture, files to files, as functions that benchmarks time."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import psutil
import torch

from facemill.coarse.expression_space import expression_space
from facemill.evaluation.base_mesh import evaluate_base_mesh
from facemill.evaluation.base_mesh_settings import BaseMeshEvaluationSettings
from facemill.evaluation.surface_output import evaluate_surface
from facemill.evaluation.surface_settings import SurfaceEvaluationSettings
from facemill.faces.landmark_offsets import landmark_offsets
from facemill.formats.base_meshes import write_base_meshes
from facemill.formats.captures import read_capture_file, write_capture
from facemill.formats.surface_maps import read_surface_map
from facemill.models.morphable import LinearModel
from facemill.multiview.base_mesh.fit import capture_files, fit_base_mesh
from facemill.multiview.base_mesh.settings import FitBaseMeshSettings
from facemill.multiview.capture_files import CaptureFiles
from facemill.multiview.capture_plan import PlannedCapture
from facemill.multiview.capture_settings import PrepareCaptureSettings
from facemill.multiview.displacing.files import MeshFiles, make_meshes
from facemill.multiview.displacing.settings import DisplaceMeshSettings
from facemill.multiview.export import export_base_mesh
from facemill.multiview.fitted_capture import read_fitted, read_scan
from facemill.multiview.implicit.predict import predict_implicit
from facemill.multiview.implicit.settings import PredictImplicitSettings
from facemill.multiview.landmark_settings import TriangulateSettings
from facemill.multiview.landmark_views import Detectors
from facemill.multiview.map_files import make_uv_maps
from facemill.multiview.map_settings import ExportBaseMeshSettings, UvMapSettings
from facemill.multiview.matching.match import match_surface
from facemill.multiview.matching.settings import MatchSurfaceSettings
from facemill.multiview.mesoscopic.predict import predict_mesoscopic
from facemill.multiview.mesoscopic.settings import PredictMesoscopicSettings
from facemill.multiview.overlays import read_landmarks_of_views
from facemill.multiview.prepare import Readers, prepare_capture
from facemill.multiview.regularization.regularize import SurfaceFiles, regularize_surface
from facemill.multiview.regularization.settings import RegularizeSurfaceSettings
from facemill.multiview.stage_surfaces import read_stage_meshes
from facemill.multiview.texturing.files import make_texture
from facemill.multiview.texturing.settings import BlendTextureSettings
from facemill.multiview.triangulate import triangulate_landmarks, write_landmarks
from facemill.multiview.uv_atlas import bare_face
from facemill.photos.face_search import FaceSearch
from facemill.photos.landmarks import DETECTORS, MIRRORED_68
from facemill.photos.reading import read_photo
from facemill.photos.settings import IMAGE_SUFFIXES, DetectSettings, LandmarkSettings

NAME, MODEL = "bench", "head"
CPU = torch.device("cpu")
#: Rules with weights -> their file in resources/weights.
WEIGHTS = {"predict_implicit": "implicit", "regularize_surface": "regularizer"} | {
    "predict_mesoscopic": "mesoscopic"
}
#: Rules that compare a band of displacements -> the map that says how many.
QUERIES = {"match_surface": "matches.npz", "predict_implicit": "volume.npz"}
INTERVAL = 0.02  # seconds between two looks at the memory


class StageCost(NamedTuple):
    """processor: seconds of all threads. memory: MiB, the most that the process held meanwhile."""

    processor: float
    memory: float


@dataclass(frozen=True)
class CaptureCase:
    """Some views of a capture, and a folder for what is made of them.

    threads: of the rules that have threads of their own. weights: folder of the networks.
    """

    planned: PlannedCapture
    model: LinearModel
    views: int
    side: int
    folder: Path
    weights: Path
    maps: int = 512
    threads: int = 1

    def works(self) -> Mapping[str, Callable[[], None]]:
        """Rule -> what it does, in their order. A network's rule without weights passes on what it gets."""
        return {
            "prepare_capture": self.prepare,
            "triangulate_landmarks": self.triangulate,
            "fit_base_mesh": self.fit,
            "export_base_mesh": self.export,
            "build_uv_maps": self.build_maps,
            "match_surface": self.match,
            "predict_implicit": self.predict_implicit,
            "regularize_surface": self.regularize,
            "blend_texture": self.blend,
            "predict_mesoscopic": self.predict_mesoscopic,
            "displace_mesh": self.displace,
            "evaluate_base_mesh": self.evaluate_base,
            "evaluate_surface": self.evaluate,
        }

    def measure(self) -> dict[str, StageCost]:
        """What each rule costs."""
        return {rule: cost_of(work) for rule, work in self.works().items()}

    def queries(self, rule: str) -> int:
        """How often a rule of `QUERIES` compared the views; 0 where it did not get there."""
        found = read_surface_map(self.file(QUERIES[rule])).surface
        return 0 if found is None else int(found.more["queries"])

    def file(self, name: str) -> Path:
        """One of the files."""
        return self.folder / name

    def network(self, rule: str) -> str:
        """The weights that ship for a rule, or nothing."""
        path = self.weights / f"{WEIGHTS[rule]}.safetensors"
        return str(path) if path.is_file() else ""

    @property
    def fitted_files(self) -> tuple[Path, Path]:
        return self.file("person.npz"), self.file("person.json")

    @property
    def files(self) -> CaptureFiles:
        return CaptureFiles(NAME, self.file("capture.json"), *self.fitted_files, self.file("uv_maps.npz"))

    def prepare(self) -> None:
        chosen = replace(self.planned, select=tuple(range(self.views)))
        readers = Readers(read_photo, IMAGE_SUFFIXES)
        settings = PrepareCaptureSettings(longer_side=self.side)
        prepared = prepare_capture(chosen, readers, settings, views_folder=self.file("views"), calibrated=())
        write_capture(self.file("capture.json"), prepared)

    def triangulate(self) -> None:
        detector, capture = LandmarkSettings(), self.file("capture.json")
        detectors = Detectors(
            read_photo, FaceSearch(DetectSettings()), DETECTORS[detector.detector](detector)
        )
        found = triangulate_landmarks(
            read_capture_file(capture), capture, detectors, MIRRORED_68, TriangulateSettings()
        )
        write_landmarks(found, self.file("landmarks.npz"), self.file("landmarks.json"))

    def fit(self) -> None:
        settings = FitBaseMeshSettings()
        files = [self.file(name) for name in ("capture.json", "landmarks.npz", "landmarks.json")]
        meshes, told = fit_base_mesh(
            capture_files([NAME], *([file] for file in files)),
            expression_space(self.model, settings.strength_deviation, settings.expression_deviation),
            landmark_offsets(self.model.topology, settings.landmark_convention),
            settings,
            self.threads,
        )
        write_base_meshes(*self.fitted_files, NAME, meshes, told)

    def export(self) -> None:
        names = ("base_mesh.obj", "base_mesh.glb", "overlays.png", "geometry.png")
        fitted = read_fitted(NAME, self.file("capture.json"), *self.fitted_files, self.model)
        marks = read_landmarks_of_views(self.file("landmarks.npz"))
        export_base_mesh(fitted, self.model, marks, ExportBaseMeshSettings(), *map(self.file, names))

    def build_maps(self) -> None:
        fitted = read_fitted(NAME, self.file("capture.json"), *self.fitted_files, self.model)
        settings = UvMapSettings(size=self.maps)
        files = self.file("uv_maps.npz"), self.file("uv_maps.png")
        make_uv_maps(fitted, self.model.topology, read_scan(self.planned.scan), settings, MODEL, *files)

    def match(self) -> None:
        match_surface(
            NAME,
            self.files.open(self.model),
            self.model.topology,
            MatchSurfaceSettings(),
            self.threads,
            self.file("matches.npz"),
        )

    def predict_implicit(self) -> None:
        predict_implicit(
            NAME,
            self.files.open(self.model),
            self.model.topology,
            PredictImplicitSettings(network=self.network("predict_implicit")),
            CPU,
            self.file("volume.npz"),
        )

    def regularize(self) -> None:
        names = ("matches.npz", "volume.npz", "regularized.npz", "surface.ply")
        regularize_surface(
            self.files.open(self.model),
            SurfaceFiles(*map(self.file, names)),
            RegularizeSurfaceSettings(network=self.network("regularize_surface")),
            CPU,
        )

    def blend(self) -> None:
        make_texture(
            self.files.open(self.model),
            read_surface_map(self.file("regularized.npz")),
            self.model,
            BlendTextureSettings(),
            MODEL,
            *map(self.file, ("texture.png", "texture_seen.png", "views.csv")),
        )

    def predict_mesoscopic(self) -> None:
        predict_mesoscopic(
            self.files,
            self.model,
            *map(self.file, ("regularized.npz", "texture.png", "texture_seen.png")),
            PredictMesoscopicSettings(network=self.network("predict_mesoscopic")),
            self.file("mesoscopic.npz"),
            CPU,
        )

    def displace(self) -> None:
        names = ("displacement.png", "displacement.json", "mesh.obj", "mesh.glb", "mesh.ply", "displace_mesh")
        make_meshes(
            self.files.open(self.model),
            read_surface_map(self.file("regularized.npz")),
            read_surface_map(self.file("mesoscopic.npz")),
            self.file("texture.png"),
            self.model,
            DisplaceMeshSettings(),
            MODEL,
            MeshFiles(*map(self.file, names)),
        )

    def evaluate_base(self) -> None:
        one = read_fitted(NAME, self.file("capture.json"), *self.fitted_files, self.model)
        scan = read_scan(self.planned.scan)
        evaluate_base_mesh(
            NAME,
            one.surface(self.model.topology),
            bare_face(self.model.topology).numpy(),
            one.in_head(scan),
            one.problem(scan),
            BaseMeshEvaluationSettings(),
            self.file("result.json"),
            self.file("heat_map.png"),
        )

    def evaluate(self) -> None:
        capture, scan = self.files.open(self.model), read_scan(self.planned.scan)
        maps = {
            "classical": self.file("matches.npz"),
            "implicit": self.file("volume.npz"),
            "regularized": self.file("regularized.npz"),
            "mesoscopic": self.file("mesoscopic.npz"),
        }
        evaluate_surface(
            NAME,
            read_stage_meshes(capture, self.model.topology, maps),
            capture.fitted.in_head(scan),
            capture.fitted.problem(scan),
            SurfaceEvaluationSettings(),
            {},
            self.file("surfaces.json"),
            self.file("heat_maps.png"),
        )


def cost_of(work: Callable[[], None]) -> StageCost:
    """Processor time of `work`, and how much memory the process held at most."""
    process, done = psutil.Process(), threading.Event()
    seen = [process.memory_info().rss]

    def watch() -> None:
        while not done.wait(INTERVAL):
            seen.append(process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    begin = time.process_time()
    work()
    seconds = time.process_time() - begin
    done.set()
    watcher.join()
    return StageCost(seconds, max(seen) / 2**20)
