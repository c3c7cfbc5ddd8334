"""Match the views of a capture with the learned network.

input: capture (prepare_capture/capture.json), views (folder of its pictures), arrays and report
    (fit_base_mesh/<person>.npz, .json), model, maps (uv_maps.npz)
output: volume (volume.npz)
params: settings (`network`: path of the weights, or empty), device
wildcards: capture
"""

from pathlib import Path

from facemill.models.files import load_model
from facemill.multiview.capture_files import CaptureFiles
from facemill.multiview.implicit.predict import predict_implicit
from facemill.multiview.implicit.settings import PredictImplicitSettings
from facemill.runtime.devices import choose_device, use_threads
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
use_threads(snakemake.threads)
model = load_model(snakemake.input.model)
predict_implicit(
    name=snakemake.wildcards.capture,
    opened=CaptureFiles(
        snakemake.wildcards.capture,
        Path(snakemake.input.capture),
        Path(snakemake.input.arrays),
        Path(snakemake.input.report),
        Path(snakemake.input.maps),
    ).open(model),
    topology=model.topology,
    settings=PredictImplicitSettings(**snakemake.params.settings),
    device=choose_device(snakemake.params.device),
    output=snakemake.output.volume,
)
