"""68 landmarks of a capture as points of space.

input: capture (capture.json of prepare_capture)
output: arrays (landmarks.npz), report (landmarks.json)
params: settings, faces (detect_faces), landmarks (detect_landmarks)
"""

from facemill.formats.captures import read_capture_file
from facemill.multiview.landmark_settings import TriangulateSettings
from facemill.multiview.landmark_views import Detectors
from facemill.multiview.triangulate import triangulate_landmarks, write_landmarks
from facemill.photos.face_search import FaceSearch
from facemill.photos.landmarks import DETECTORS, MIRRORED_68
from facemill.photos.reading import read_photo
from facemill.photos.settings import DetectSettings, LandmarkSettings
from facemill.runtime.devices import use_threads
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
use_threads(snakemake.threads)
landmark_settings = LandmarkSettings(**snakemake.params.landmarks)
landmarks = triangulate_landmarks(
    read_capture_file(snakemake.input.capture),
    snakemake.input.capture,
    Detectors(
        read=read_photo,
        faces=FaceSearch(DetectSettings(**snakemake.params.faces)),
        landmarks=DETECTORS[landmark_settings.detector](landmark_settings),
    ),
    MIRRORED_68,
    TriangulateSettings(**snakemake.params.settings),
)
write_landmarks(landmarks, snakemake.output.arrays, snakemake.output.report)
