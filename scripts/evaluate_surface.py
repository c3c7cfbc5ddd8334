"""The surfaces of a capture's stages against its scan: base mesh, matched, regularised and mesoscopic.

input: capture (prepare_capture/capture.json), arrays and report (fit_base_mesh/<person>.npz, .json), model,
    maps (uv_maps.npz), classical, implicit, regularized, mesoscopic (a path, or none), scan (list: what the
    scan comes from)
output: summary (result.json), heat_maps
params: settings, scan (mesh file of the capture), benchmarks (rule -> its benchmark file, optional)
wildcards: capture
"""

from facemill.evaluation.surface_output import evaluate_surface
from facemill.evaluation.surface_settings import SurfaceEvaluationSettings
from facemill.models.files import load_model
from facemill.multiview.capture_files import CaptureFiles
from facemill.multiview.fitted_capture import read_scan
from facemill.multiview.stage_surfaces import read_stage_meshes
from facemill.runtime.devices import use_threads
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
use_threads(snakemake.threads)
model = load_model(snakemake.input.model)
scan = read_scan(snakemake.params.scan)
capture = CaptureFiles(
    snakemake.wildcards.capture,
    snakemake.input.capture,
    snakemake.input.arrays,
    snakemake.input.report,
    snakemake.input.maps,
).open(model)
stages = {
    "classical": snakemake.input.classical,
    "implicit": snakemake.input.implicit,
    "regularized": snakemake.input.regularized,
    "mesoscopic": snakemake.input.mesoscopic,
}
evaluate_surface(
    capture.fitted.name,
    read_stage_meshes(capture, model.topology, stages),
    capture.fitted.in_head(scan),
    capture.fitted.problem(scan),
    SurfaceEvaluationSettings(**snakemake.params.settings),
    getattr(snakemake.params, "benchmarks", {}),
    snakemake.output.summary,
    snakemake.output.heat_maps,
)
