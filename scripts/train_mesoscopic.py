"""Train the mesoscopic network on captures with scans, or go on with the training that was begun.

input: captures, views, arrays, reports, maps, regularized, textures, seen, and held_captures … held_seen
    (lists: prepare_capture's capture.json, fit_base_mesh's .npz and .json, uv_maps.npz, regularized.npz,
    texture.png and texture_seen.png of each capture to train on, of each to validate on), model
output: weights, metrics, faces, summary
params: names, held_names, scans, held_scans (mesh file of each capture, or empty), settings, folder (of
    checkpoints and logs; it stays when the rule is interrupted), device
"""

from facemill.models.files import load_model
from facemill.multiview.mesoscopic.examples import list_sources
from facemill.multiview.mesoscopic.settings import TrainMesoscopicSettings
from facemill.multiview.mesoscopic.train import train_mesoscopic
from facemill.runtime.devices import choose_device, use_threads
from facemill.runtime.logs import log_to
from facemill.training.files import TrainingOutputs

log_to(snakemake.log[0])
use_threads(snakemake.threads)
settings = TrainMesoscopicSettings(**snakemake.params.settings)
train_mesoscopic(
    list_sources(
        snakemake.params.names,
        snakemake.input.captures,
        snakemake.input.arrays,
        snakemake.input.reports,
        snakemake.input.maps,
        snakemake.input.regularized,
        snakemake.input.textures,
        snakemake.input.seen,
        snakemake.params.scans,
        settings.displacement_maps,
    ),
    list_sources(
        snakemake.params.held_names,
        snakemake.input.held_captures,
        snakemake.input.held_arrays,
        snakemake.input.held_reports,
        snakemake.input.held_maps,
        snakemake.input.held_regularized,
        snakemake.input.held_textures,
        snakemake.input.held_seen,
        snakemake.params.held_scans,
        settings.displacement_maps,
    ),
    load_model(snakemake.input.model),
    settings,
    snakemake.params.folder,
    TrainingOutputs(
        weights=snakemake.output.weights,
        metrics=snakemake.output.metrics,
        faces=snakemake.output.faces,
        summary=snakemake.output.summary,
    ),
    choose_device(snakemake.params.device),
)
