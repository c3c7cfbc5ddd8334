"""A row for each entry of a shard of the photo folder: is it a photo, how large is it?

input: manifest (plan/<shard>.json), pictures (what makes them first, if a rule does)
output: table
params: folder (of the photos), settings, limits (of one photo)
"""

from facemill.photos.index import index_photos
from facemill.photos.settings import IndexSettings
from facemill.runtime.logs import log_to
from facemill.runtime.settings import PhotoLimits
from facemill.runtime.tables import write_table

log_to(snakemake.log[0])
settings = IndexSettings(**snakemake.params.settings)
limits = PhotoLimits(**snakemake.params.limits)
table = index_photos(snakemake.input.manifest, snakemake.params.folder, settings, limits)
write_table(snakemake.output.table, table)
