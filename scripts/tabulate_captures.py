"""One CSV with a row for each capture of the run: what became of it.

input: prepared (capture.json of each capture), calibrated (report.json of those that calibrate_capture gave
    cameras), fitted (fit_base_mesh/<person>.json of each person)
output: table (captures.csv)
params: people (person by capture), surfaces (capture -> its regularized.npz, optional)
"""

from facemill.multiview.tabulate import tabulate_captures, write_captures_table
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
table = tabulate_captures(
    snakemake.params.people,
    snakemake.input.prepared,
    snakemake.input.calibrated,
    snakemake.input.fitted,
    getattr(snakemake.params, "surfaces", None),
)
write_captures_table(snakemake.output.table, table)
