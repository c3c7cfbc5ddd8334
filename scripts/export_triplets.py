"""The tuples of a shard as MGCNet's training files.

input: table and tuples (of group_people), crops (align_faces/<shard>), masks (segment_skin/<shard>)
output: list (of MGCNet's form), table (which photos a triplet shows), triplets (directory)
"""

from facemill.coarse.image_sets.triplets import export_triplets, names_of
from facemill.formats.mgcnet import write_split
from facemill.runtime.logs import log_to
from facemill.runtime.tables import read_table, write_table

log_to(snakemake.log[0])
table = export_triplets(
    table=read_table(snakemake.input.table),
    tuples=read_table(snakemake.input.tuples),
    crops_folder=snakemake.input.crops,
    masks_folder=snakemake.input.masks,
    folder=snakemake.output.triplets,
)
write_split(snakemake.output.list, names_of(table))
write_table(snakemake.output.table, table)
