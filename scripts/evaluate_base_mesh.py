"""A capture's base mesh against its scan, over the face.

input: capture (prepare_capture/capture.json), arrays and report (fit_base_mesh/<person>.npz, .json), model,
    scan (list: what the scan comes from)
output: summary (result.json), heat_map
params: settings, scan (mesh file of the capture)
wildcards: capture
"""

from facemill.evaluation.base_mesh import evaluate_base_mesh
from facemill.evaluation.base_mesh_settings import BaseMeshEvaluationSettings
from facemill.models.files import load_model
from facemill.multiview.fitted_capture import read_fitted, read_scan
from facemill.multiview.uv_atlas import bare_face
from facemill.runtime.devices import use_threads
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
use_threads(snakemake.threads)
model = load_model(snakemake.input.model)
scan = read_scan(snakemake.params.scan)
fitted = read_fitted(
    snakemake.wildcards.capture,
    snakemake.input.capture,
    snakemake.input.arrays,
    snakemake.input.report,
    model,
)
evaluate_base_mesh(
    fitted.name,
    fitted.surface(model.topology),
    bare_face(model.topology).numpy(),
    fitted.in_head(scan),
    fitted.problem(scan),
    BaseMeshEvaluationSettings(**snakemake.params.settings),
    snakemake.output.summary,
    snakemake.output.heat_map,
)
