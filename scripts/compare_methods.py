"""Our figures beside the published ones of the same protocol.

input: results (list: evaluation/{now,scans,landmarks}/<name>.json), published (resources/published/*.csv)
    of the NoW protocol also: now_summaries, now_cases, now_histograms (lists, one each per evaluation)
output: table (evaluation/comparison.csv), notes (evaluation/comparison.txt, a sentence per line), floor
    (evaluation/floor.csv)
params: settings (compare_methods), now_settings (evaluate_now), names (list, one for each of input.results),
    now_names (list), published (the folder)
"""

from facemill.evaluation.floor import NowFiles, floor_ratios, write_floor
from facemill.evaluation.published import compare_methods, read_published, write_comparison
from facemill.evaluation.settings import CompareSettings, NowSettings
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
table = compare_methods(
    results=dict(zip(snakemake.params.names, snakemake.input.results, strict=True)),
    published=read_published(snakemake.params.published),
    settings=CompareSettings(**snakemake.params.settings),
)
write_comparison(table, table_path=snakemake.output.table, notes_path=snakemake.output.notes)
write_floor(
    snakemake.output.floor,
    floor_ratios(
        map(
            NowFiles,
            snakemake.params.now_names,
            snakemake.input.now_summaries,
            snakemake.input.now_cases,
            snakemake.input.now_histograms,
        ),
        NowSettings(**snakemake.params.now_settings),
    ),
)
