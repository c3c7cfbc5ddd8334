"""Pores and wrinkles of one capture from its texture, on its regularised surface.

input: capture (prepare_capture/capture.json), views (its pictures), arrays and report (fit_base_mesh), model,
    maps (uv_maps.npz), regularized (regularized.npz), texture (texture.png), seen (texture_seen.png)
output: mesoscopic (mesoscopic.npz)
params: settings (network: path of the weights, or empty), device
wildcards: capture
"""

from pathlib import Path

from facemill.models.files import load_model
from facemill.multiview.capture_files import CaptureFiles
from facemill.multiview.mesoscopic.predict import predict_mesoscopic
from facemill.multiview.mesoscopic.settings import PredictMesoscopicSettings
from facemill.runtime.devices import choose_device, use_threads
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
use_threads(snakemake.threads)
predict_mesoscopic(
    CaptureFiles(
        snakemake.wildcards.capture,
        Path(snakemake.input.capture),
        Path(snakemake.input.arrays),
        Path(snakemake.input.report),
        Path(snakemake.input.maps),
    ),
    load_model(snakemake.input.model),
    snakemake.input.regularized,
    snakemake.input.texture,
    snakemake.input.seen,
    PredictMesoscopicSettings(**snakemake.params.settings),
    snakemake.output.mesoscopic,
    choose_device(snakemake.params.device),
)
