"""Train the detail network, or go on with the training that was begun.

input: train, validation (folders of pack_detail), held_out (val.csv of split_dataset), model
output: weights, metrics, faces, summary
params: settings, model_name, folder (of checkpoints and logs; it stays when the rule is interrupted), device
"""

from facemill.detail.training.train import train_detail
from facemill.detail.training_settings import TrainDetailSettings
from facemill.models.files import load_model
from facemill.runtime.devices import choose_device, use_threads
from facemill.runtime.logs import log_to
from facemill.training.files import TrainingFiles, TrainingOutputs
from facemill.training.held_out import held_out_photos

log_to(snakemake.log[0])
use_threads(snakemake.threads)
train_detail(
    files=TrainingFiles(
        train=list(snakemake.input.train),
        validation=list(snakemake.input.validation),
        held_out=held_out_photos(snakemake.input.held_out),
    ),
    model=load_model(snakemake.input.model),
    model_name=snakemake.params.model_name,
    settings=TrainDetailSettings(**snakemake.params.settings),
    folder=snakemake.params.folder,
    outputs=TrainingOutputs(
        weights=snakemake.output.weights,
        metrics=snakemake.output.metrics,
        faces=snakemake.output.faces,
        summary=snakemake.output.summary,
    ),
    device=choose_device(snakemake.params.device),
)
