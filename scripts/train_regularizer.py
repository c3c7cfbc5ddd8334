"""Train the network that regularises matches, or go on with the training that was begun.

input: captures, arrays, reports, maps, classical (matches.npz), implicit (volume.npz): parallel lists of the
    captures to train on; held_captures, held_arrays, …: of those to validate on; model
output: weights, metrics, faces, summary
params: names, held_names, settings, folder (of checkpoints and logs; it stays when the rule is interrupted),
    device
"""

from facemill.models.files import load_model
from facemill.multiview.capture_files import list_captures
from facemill.multiview.regularization.settings import TrainRegularizerSettings
from facemill.multiview.regularization.training.train import MatchedCaptures, train_regularizer
from facemill.runtime.devices import choose_device, use_threads
from facemill.runtime.logs import log_to
from facemill.training.files import TrainingOutputs

log_to(snakemake.log[0])
use_threads(snakemake.threads)
train_regularizer(
    MatchedCaptures(
        list_captures(
            snakemake.params.names,
            snakemake.input.captures,
            snakemake.input.arrays,
            snakemake.input.reports,
            snakemake.input.maps,
        ),
        snakemake.input.classical,
        snakemake.input.implicit,
    ),
    MatchedCaptures(
        list_captures(
            snakemake.params.held_names,
            snakemake.input.held_captures,
            snakemake.input.held_arrays,
            snakemake.input.held_reports,
            snakemake.input.held_maps,
        ),
        snakemake.input.held_classical,
        snakemake.input.held_implicit,
    ),
    load_model(snakemake.input.model),
    TrainRegularizerSettings(**snakemake.params.settings),
    snakemake.params.folder,
    TrainingOutputs(
        snakemake.output.weights,
        snakemake.output.metrics,
        snakemake.output.faces,
        snakemake.output.summary,
    ),
    choose_device(snakemake.params.device),
)
