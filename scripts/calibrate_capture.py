"""Cameras of a capture that comes as photos alone.

input: manifest (plan/<capture>.json)
output: cameras (cameras.json), report (report.json)
params: settings
"""

from facemill.multiview.calibrate import calibrate_capture, write_calibration
from facemill.multiview.capture_plan import read_manifest
from facemill.multiview.capture_settings import CalibrateCaptureSettings
from facemill.multiview.prepare import Readers
from facemill.photos.reading import read_photo
from facemill.photos.settings import IMAGE_SUFFIXES
from facemill.runtime.devices import use_threads
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
use_threads(snakemake.threads)
planned = read_manifest(snakemake.input.manifest)
calibration = calibrate_capture(
    planned,
    Readers(read_photo, IMAGE_SUFFIXES),
    CalibrateCaptureSettings(**snakemake.params.settings),
)
write_calibration(snakemake.output.cameras, snakemake.output.report, planned, calibration)
