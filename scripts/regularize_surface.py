"""One smooth surface of a capture from the matches of its views, and its mesh.

input: capture (prepare_capture/capture.json), arrays and report (fit_base_mesh/<person>.npz, .json), model,
    maps (uv_maps.npz), classical (match_surface/matches.npz), implicit (volume.npz)
output: regularized (regularized.npz), surface (surface.ply)
params: settings (`network` is a path, or empty), device
wildcards: capture
"""

from facemill.models.files import load_model
from facemill.multiview.capture_files import CaptureFiles
from facemill.multiview.regularization.regularize import SurfaceFiles, regularize_surface
from facemill.multiview.regularization.settings import RegularizeSurfaceSettings
from facemill.runtime.devices import choose_device, use_threads
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
use_threads(snakemake.threads)
regularize_surface(
    CaptureFiles(
        snakemake.wildcards.capture,
        snakemake.input.capture,
        snakemake.input.arrays,
        snakemake.input.report,
        snakemake.input.maps,
    ).open(load_model(snakemake.input.model)),
    SurfaceFiles(
        snakemake.input.classical,
        snakemake.input.implicit,
        snakemake.output.regularized,
        snakemake.output.surface,
    ),
    RegularizeSurfaceSettings(**snakemake.params.settings),
    choose_device(snakemake.params.device),
)
