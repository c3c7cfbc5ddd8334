"""Predictions against scans as MICC Florence is evaluated.

input: cases (CSV table of pairs)
output: summary (evaluation/micc/<name>.json), cases (evaluation/micc/<name>_cases.csv)
params: settings (evaluate_micc), task (evaluation.micc.<name>)
"""

from functools import partial

from facemill.evaluation.mesh_cases import evaluate_pairs, write_pairs
from facemill.evaluation.micc import score_pair
from facemill.evaluation.settings import MiccSettings, MiccTask
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
task = MiccTask(**snakemake.params.task)
score = partial(score_pair, settings=MiccSettings(**snakemake.params.settings))
write_pairs(
    evaluate_pairs(task.cases, score, "micc", task.origin),
    summary=snakemake.output.summary,
    cases=snakemake.output.cases,
)
