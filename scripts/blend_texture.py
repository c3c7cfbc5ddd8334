"""One texture of the whole head from all views of a capture, on the surface that was found.

input: capture (prepare_capture/capture.json), views (its pictures), arrays and report (fit_base_mesh), model,
    maps (uv_maps.npz), regularized (regularized.npz)
output: texture (texture.png), seen (texture_seen.png), views_table (blend_texture/views.csv)
params: settings, model_name
wildcards: capture
"""

from facemill.formats.surface_maps import read_surface_map
from facemill.models.files import load_model
from facemill.multiview.capture_files import CaptureFiles
from facemill.multiview.texturing.files import make_texture
from facemill.multiview.texturing.settings import BlendTextureSettings
from facemill.runtime.devices import use_threads
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
use_threads(snakemake.threads)
model = load_model(snakemake.input.model)
capture = CaptureFiles(
    snakemake.wildcards.capture,
    snakemake.input.capture,
    snakemake.input.arrays,
    snakemake.input.report,
    snakemake.input.maps,
).open(model)
make_texture(
    capture,
    read_surface_map(snakemake.input.regularized),
    model,
    BlendTextureSettings(**snakemake.params.settings),
    snakemake.params.model_name,
    snakemake.output.texture,
    snakemake.output.seen,
    snakemake.output.views_table,
)
