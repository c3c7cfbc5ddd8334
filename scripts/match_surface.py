"""Where the views of a capture agree: displacement of each texel from the base mesh, with its scores.

input: capture (prepare_capture/capture.json), arrays and report (fit_base_mesh/<person>.npz, .json), model,
    maps (uv_maps.npz), views (folder of prepare_capture's pictures, beside capture.json)
output: matches (match_surface/matches.npz)
params: settings
wildcards: capture
"""

from facemill.models.files import load_model
from facemill.multiview.capture_files import CaptureFiles
from facemill.multiview.matching.match import match_surface
from facemill.multiview.matching.settings import MatchSurfaceSettings
from facemill.runtime.devices import use_threads
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
use_threads(snakemake.threads)
model = load_model(snakemake.input.model)
opened = CaptureFiles(
    snakemake.wildcards.capture,
    snakemake.input.capture,
    snakemake.input.arrays,
    snakemake.input.report,
    snakemake.input.maps,
).open(model)
match_surface(
    snakemake.wildcards.capture,
    opened,
    model.topology,
    MatchSurfaceSettings(**snakemake.params.settings),
    snakemake.threads,
    snakemake.output.matches,
)
