"""Predictions against scans under the NoW protocol.

input: published (list: resources/published/*.csv), dataset (folder, or what makes it), predictions (folder)
output: in evaluation/now/: summary (<name>.json), cases (<name>_cases.csv), curve (<name>/curve.svg),
    curve_table (<name>/curve.csv), histograms (<name>/distances.npz), heat_maps (directory <name>/heat_maps)
params: settings (evaluate_now), task (evaluation.now.<name>, with folders as dataset and predictions), source
    (predictions as the configuration has them), published (folder resources/published)
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
write_now(
    evaluate_now(
        NowTask(**snakemake.params.task),
        NowSettings(**snakemake.params.settings),
        threads=snakemake.threads,
    ),
    published=read_published(snakemake.params.published),
    name=snakemake.wildcards.name,
    summary=snakemake.output.summary,
    cases=snakemake.output.cases,
    curve=snakemake.output.curve,
    curve_table=snakemake.output.curve_table,
    pictures=snakemake.output.heat_maps,
    histograms=snakemake.output.histograms,
    source=snakemake.params.source,
)
