"""Predictions against true meshes, vertex by vertex (FaceWarehouse, BU-3DFE).

input: cases (CSV table of pairs)
output: summary (evaluation/shape_error/<name>.json), cases (evaluation/shape_error/<name>_cases.csv)
params: task (evaluation.shape_error.<name>)
"""

from functools import partial

from facemill.evaluation.mesh_cases import evaluate_pairs, write_pairs
from facemill.evaluation.settings import ShapeErrorTask
from facemill.evaluation.shape_error import score_pair
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
task = ShapeErrorTask(**snakemake.params.task)
write_pairs(
    evaluate_pairs(task.cases, partial(score_pair, task=task), "shape_error", task.origin),
    summary=snakemake.output.summary,
    cases=snakemake.output.cases,
)
