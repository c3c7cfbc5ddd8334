"""Our figures beside the published ones of the same protocol.

input: results (list: evaluation/{now,scans,landmarks}/<name>.json), published (resources/published/*.csv)
output: table (evaluation/comparison.csv), notes (evaluation/comparison.txt, a sentence per line)
params: settings (compare_methods), names (list, one for each of input.results), published (the folder)
"""

from facemill.evaluation.published import compare_methods, read_published, write_comparison
from facemill.evaluation.settings import CompareSettings
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
table = compare_methods(
    results=dict(zip(snakemake.params.names, snakemake.input.results, strict=True)),
    published=read_published(snakemake.params.published),
    settings=CompareSettings(**snakemake.params.settings),
)
write_comparison(table, table_path=snakemake.output.table, notes_path=snakemake.output.notes)
