"""Predictions under FaceScape's single-view benchmark.

input: cases (CSV table of pairs)
output: summary (evaluation/facescape/<name>.json), cases (evaluation/facescape/<name>_cases.csv)
params: task (evaluation.facescape.<name>)
"""

from facemill.evaluation.facescape_cases import evaluate_facescape
from facemill.evaluation.settings import FacescapeTask
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
evaluate_facescape(
    FacescapeTask(**snakemake.params.task),
    summary=snakemake.output.summary,
    cases=snakemake.output.cases,
)
