"""Mesh files of a capture's base mesh, overlays on all of its views, and the bare surface.

input: capture (prepare_capture/capture.json), landmarks (triangulate_landmarks/landmarks.npz), arrays and
    report (fit_base_mesh/<person>.npz and .json), model
output: obj, glb, overlays, geometry
params: settings
wildcards: capture
"""

from facemill.models.files import load_model
from facemill.multiview.export import export_base_mesh
from facemill.multiview.fitted_capture import read_fitted
from facemill.multiview.map_settings import ExportBaseMeshSettings
from facemill.multiview.overlays import read_landmarks_of_views
from facemill.runtime.devices import use_threads
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
use_threads(snakemake.threads)
model = load_model(snakemake.input.model)
export_base_mesh(
    read_fitted(
        snakemake.wildcards.capture,
        snakemake.input.capture,
        snakemake.input.arrays,
        snakemake.input.report,
        model,
    ),
    model,
    read_landmarks_of_views(snakemake.input.landmarks),
    ExportBaseMeshSettings(**snakemake.params.settings),
    snakemake.output.obj,
    snakemake.output.glb,
    snakemake.output.overlays,
    snakemake.output.geometry,
)
