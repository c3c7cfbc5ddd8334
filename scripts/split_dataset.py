"""Training and validation photos of a set.

input: tables (one per shard, segment_skin)
output: train, val (CSV with photo, shard, file)
params: settings
"""

from facemill.photos.faces import write_csv
from facemill.photos.settings import SplitSettings
from facemill.photos.split import split_dataset
from facemill.runtime.logs import log_to
from facemill.runtime.tables import read_table

log_to(snakemake.log[0])
settings = SplitSettings(**snakemake.params.settings)
split = split_dataset(map(read_table, snakemake.input.tables), settings)
write_csv(snakemake.output.train, split.train)
write_csv(snakemake.output.val, split.val)
