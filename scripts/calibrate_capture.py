"""Cameras of a capture that comes as photos alone.

input: manifest (plan/<capture>.json), model (whose mean face tells where cameras stood)
output: cameras (cameras.json), report (report.json)
params: settings, faces (detect_faces), landmarks (detect_landmarks), views (triangulate_landmarks)
"""

from facemill.models.files import load_model
from facemill.multiview.calibrate import calibrate_capture, write_calibration
from facemill.multiview.capture_plan import read_manifest
from facemill.multiview.capture_settings import CalibrateCaptureSettings
from facemill.multiview.face_start import FaceStart, mean_landmarks
from facemill.multiview.landmark_settings import TriangulateSettings
from facemill.multiview.landmark_views import Detectors
from facemill.multiview.prepare import Readers
from facemill.photos.face_search import FaceSearch
from facemill.photos.landmarks import DETECTORS
from facemill.photos.reading import read_photo
from facemill.photos.settings import IMAGE_SUFFIXES, DetectSettings, LandmarkSettings
from facemill.runtime.devices import use_threads
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
use_threads(snakemake.threads)
planned = read_manifest(snakemake.input.manifest)
views = TriangulateSettings(**snakemake.params.views)
landmark_settings = LandmarkSettings(**snakemake.params.landmarks)
model = load_model(snakemake.input.model)
calibration = calibrate_capture(
    planned,
    Readers(read_photo, IMAGE_SUFFIXES),
    CalibrateCaptureSettings(**snakemake.params.settings),
    FaceStart(
        Detectors(
            read=read_photo,
            faces=FaceSearch(DetectSettings(**snakemake.params.faces)),
            landmarks=DETECTORS[landmark_settings.detector](landmark_settings),
        ),
        mean_landmarks(model),
        views.face_side,
        views.min_score,
    ),
)
write_calibration(snakemake.output.cameras, snakemake.output.report, planned, calibration)
