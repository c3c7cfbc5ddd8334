"""Train the matching network, or go on with the training that was begun.

input: captures, views, arrays, reports, maps (parallel lists, to train on), held_captures, held_views,
    held_arrays, held_reports, held_maps (parallel lists, to validate on), model
output: weights, metrics, faces, summary
params: names, held_names, settings, folder (of checkpoints and logs; it stays when the rule is interrupted),
    device
"""

from facemill.models.files import load_model
from facemill.multiview.capture_files import list_captures
from facemill.multiview.implicit.settings import TrainImplicitSettings
from facemill.multiview.implicit.training.train import train_implicit
from facemill.runtime.devices import choose_device, use_threads
from facemill.runtime.logs import log_to
from facemill.training.files import TrainingOutputs

log_to(snakemake.log[0])
use_threads(snakemake.threads)
train_implicit(
    train=list_captures(
        snakemake.params.names,
        snakemake.input.captures,
        snakemake.input.arrays,
        snakemake.input.reports,
        snakemake.input.maps,
    ),
    held=list_captures(
        snakemake.params.held_names,
        snakemake.input.held_captures,
        snakemake.input.held_arrays,
        snakemake.input.held_reports,
        snakemake.input.held_maps,
    ),
    model=load_model(snakemake.input.model),
    settings=TrainImplicitSettings(**snakemake.params.settings),
    folder=snakemake.params.folder,
    outputs=TrainingOutputs(
        weights=snakemake.output.weights,
        metrics=snakemake.output.metrics,
        faces=snakemake.output.faces,
        summary=snakemake.output.summary,
    ),
    device=choose_device(snakemake.params.device),
)
