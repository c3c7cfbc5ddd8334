"""Predictions against scans under the NoW protocol.

input: published (list: resources/published/*.csv); when the predictions are our own, also what makes them
output: summary (evaluation/now/<name>.json), cases (evaluation/now/<name>_cases.csv), curve
    (evaluation/now/<name>/curve.svg), curve_table (evaluation/now/<name>/curve.csv), heat_maps (directory
    evaluation/now/<name>/heat_maps)
params: settings (evaluate_now), task (evaluation.now.<name>, with a folder in place of `coarse`), published
    (folder resources/published)
wildcards: name
"""

from facemill.evaluation.now import evaluate_now
from facemill.evaluation.now_output import write_now
from facemill.evaluation.published import read_published
from facemill.evaluation.settings import NowSettings, NowTask
from facemill.runtime.devices import use_threads
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
use_threads(snakemake.threads)
task = NowTask(**snakemake.params.task)
settings = NowSettings(**snakemake.params.settings)
write_now(
    evaluate_now(task, settings, threads=snakemake.threads),
    task,
    settings,
    published=read_published(snakemake.params.published),
    name=snakemake.wildcards.name,
    summary=snakemake.output.summary,
    cases=snakemake.output.cases,
    curve=snakemake.output.curve,
    curve_table=snakemake.output.curve_table,
    pictures=snakemake.output.heat_maps,
)
