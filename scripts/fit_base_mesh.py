"""The morphable model on all captures of one person.

input: captures (capture.json), arrays (landmarks.npz), reports (landmarks.json): one each per capture; model
output: arrays (<person>.npz), report (<person>.json)
params: settings, captures (names)
wildcards: person
"""

from facemill.coarse.expression_space import expression_space
from facemill.faces.landmark_offsets import landmark_offsets
from facemill.formats.base_meshes import write_base_meshes
from facemill.models.files import load_model
from facemill.multiview.base_mesh.fit import capture_files, fit_base_mesh
from facemill.multiview.base_mesh.settings import FitBaseMeshSettings
from facemill.runtime.devices import use_threads
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
use_threads(snakemake.threads)
settings = FitBaseMeshSettings(**snakemake.params.settings)
model = load_model(snakemake.input.model)
meshes, reports = fit_base_mesh(
    capture_files(
        snakemake.params.captures, snakemake.input.captures, snakemake.input.arrays, snakemake.input.reports
    ),
    expression_space(model, settings.strength_deviation, settings.expression_deviation),
    landmark_offsets(model.topology, settings.landmark_convention),
    settings,
    snakemake.threads,
)
write_base_meshes(
    snakemake.output.arrays, snakemake.output.report, snakemake.wildcards.person, meshes, reports
)
