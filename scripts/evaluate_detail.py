"""Wrinkles and folds on synthetic photographs against their true surfaces.

input: lists with a file per shard: tables, detail (.parquet and .npz of reconstruct_detail), coarse (.npz of
    reconstruct_coarse), truth (.npz of synthesize_photos), pictures (its folders); model
output: in evaluation/detail/: summary (<name>.json), cases (<name>_cases.csv), regions (<name>_regions.csv),
    pictures (directory <name>/pictures)
params: settings (evaluate_detail), task (evaluation.detail.<name>)
wildcards: name
"""

from facemill.evaluation.detail import evaluate_detail, read_shards
from facemill.evaluation.detail_output import write_detail
from facemill.evaluation.detail_settings import DetailEvaluationSettings, DetailTask
from facemill.models.files import load_model
from facemill.runtime.devices import use_threads
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
use_threads(snakemake.threads)
model = load_model(snakemake.input.model)
shards = read_shards(
    snakemake.input.tables,
    snakemake.input.detail,
    snakemake.input.coarse,
    snakemake.input.truth,
    snakemake.input.pictures,
)
write_detail(
    evaluate_detail(shards, model, DetailEvaluationSettings(**snakemake.params.settings)),
    shards,
    model,
    dataset=DetailTask(**snakemake.params.task).dataset,
    summary=snakemake.output.summary,
    cases=snakemake.output.cases,
    regions=snakemake.output.regions,
    pictures=snakemake.output.pictures,
)
