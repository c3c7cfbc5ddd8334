"""Train the confidence network of image sets, or go on with the training that was begun.

input: train, validation (folders of pack_training), held_out (val.csv of split_dataset),
    groups (tables of group_people), model
output: weights, metrics, faces, summary
params: settings, model_name, folder (of checkpoints and logs; it stays when the rule is interrupted), device,
    people_sets (for each of groups the set that names of people are of, or empty)
"""

from facemill.coarse.image_set_settings import ImageSetSettings
from facemill.coarse.training.image_sets import left_out_photos, train_image_set
from facemill.evaluation.shape_protocol import protocol_distances
from facemill.models.files import load_model
from facemill.runtime.devices import choose_device, use_threads
from facemill.runtime.logs import log_to
from facemill.training.files import TrainingFiles, TrainingOutputs
from facemill.training.held_out import held_out_photos

log_to(snakemake.log[0])
use_threads(snakemake.threads)
train_image_set(
    files=TrainingFiles(
        train=list(snakemake.input.train),
        validation=list(snakemake.input.validation),
        held_out=held_out_photos(snakemake.input.held_out),
        left_out=left_out_photos(zip(snakemake.params.people_sets, snakemake.input.groups, strict=True)),
    ),
    model=load_model(snakemake.input.model),
    model_name=snakemake.params.model_name,
    settings=ImageSetSettings(**snakemake.params.settings),
    folder=snakemake.params.folder,
    outputs=TrainingOutputs(
        weights=snakemake.output.weights,
        metrics=snakemake.output.metrics,
        faces=snakemake.output.faces,
        summary=snakemake.output.summary,
    ),
    device=choose_device(snakemake.params.device),
    protocol=protocol_distances,
)
