"""The views of MGCNet's triplets as photos of people.

input: list (of MGCNet's form)
output: table, photos (directory)
params: folder (of the triplets), split (name of the list)
"""

from facemill.photos.faces import write_csv
from facemill.photos.triplets import import_triplets
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
table = import_triplets(snakemake.params.folder, snakemake.params.split, snakemake.output.photos)
write_csv(snakemake.output.table, table)
