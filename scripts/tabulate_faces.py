"""One CSV with a row for each photo of a set: what became of it.

input: tables (one per shard, segment_skin)
output: faces (CSV)
"""

from facemill.photos.faces import tabulate_faces, write_csv
from facemill.runtime.logs import log_to
from facemill.runtime.tables import read_table

log_to(snakemake.log[0])
write_csv(snakemake.output.faces, tabulate_faces(map(read_table, snakemake.input.tables)))
