"""The photos of a capture as undistorted, upright pictures of one size, with their cameras in millimetres.

input: manifest (plan/<capture>.json), made (list: what makes the capture first, if a rule
    does), calibrated (list: cameras.json of calibrate_capture, for a capture without cameras)
output: capture (capture.json), views (directory)
params: settings
"""

from facemill.formats.captures import write_capture
from facemill.multiview.capture_plan import read_manifest
from facemill.multiview.capture_settings import PrepareCaptureSettings
from facemill.multiview.prepare import Readers, prepare_capture
from facemill.photos.reading import read_photo
from facemill.photos.settings import IMAGE_SUFFIXES
from facemill.runtime.devices import use_threads
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
use_threads(snakemake.threads)
capture = prepare_capture(
    read_manifest(snakemake.input.manifest),
    Readers(read_photo, IMAGE_SUFFIXES),
    PrepareCaptureSettings(**snakemake.params.settings),
    views_folder=snakemake.output.views,
    calibrated=snakemake.input.calibrated,
)
write_capture(snakemake.output.capture, capture)
