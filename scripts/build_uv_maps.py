"""Position, normal, visibility and displacement of a capture's base mesh, texel by texel.

input: capture (prepare_capture/capture.json), arrays and report (fit_base_mesh/<person>.npz, .json), model,
    scan (list: what the scan comes from, or none)
output: maps (uv_maps.npz), picture (uv_maps.png)
params: settings, model_name, scan (mesh file of the capture, or empty)
wildcards: capture
"""

from facemill.models.files import load_model
from facemill.multiview.fitted_capture import read_fitted, read_scan
from facemill.multiview.map_files import make_uv_maps
from facemill.multiview.map_settings import UvMapSettings
from facemill.runtime.devices import use_threads
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
use_threads(snakemake.threads)
model = load_model(snakemake.input.model)
make_uv_maps(
    read_fitted(
        snakemake.wildcards.capture,
        snakemake.input.capture,
        snakemake.input.arrays,
        snakemake.input.report,
        model,
    ),
    model.topology,
    read_scan(snakemake.params.scan),
    UvMapSettings(**snakemake.params.settings),
    snakemake.params.model_name,
    snakemake.output.maps,
    snakemake.output.picture,
)
