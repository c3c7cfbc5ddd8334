"""One CSV with a row for each capture of the run: what became of it.

input: prepared (capture.json of each capture), reports (report.json of those that were calibrated)
output: table (captures.csv)
params: people (person by capture)
"""

from facemill.multiview.tabulate import tabulate_captures, write_captures_table
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
table = tabulate_captures(snakemake.params.people, snakemake.input.prepared, snakemake.input.reports)
write_captures_table(snakemake.output.table, table)
