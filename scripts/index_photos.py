"""A row for each entry of a shard of the photo folder: is it a photo, how large is it?

input: manifest (plan/<shard>.json), pictures (what makes them first, if a rule does)
output: table
params: folder (of the photos), settings
"""

from facemill.photos.index import index_photos
from facemill.photos.settings import IndexSettings
from facemill.runtime.logs import log_to
from facemill.runtime.tables import write_table

log_to(snakemake.log[0])
settings = IndexSettings(**snakemake.params.settings)
table = index_photos(snakemake.input.manifest, snakemake.params.folder, settings)
write_table(snakemake.output.table, table)
