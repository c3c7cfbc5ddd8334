"""The skin mask of each crop of a shard.

input: table (detect_landmarks), crops (folder of <photo>.png)
output: table, masks (folder of <photo>.png)
params: settings, limits (of one photo)
"""

from facemill.photos.settings import SkinSettings
from facemill.photos.skin import segment_skin
from facemill.runtime.files import atomic_folder
from facemill.runtime.logs import log_to
from facemill.runtime.settings import PhotoLimits
from facemill.runtime.tables import read_table, write_table

log_to(snakemake.log[0])
settings = SkinSettings(**snakemake.params.settings)
limits = PhotoLimits(**snakemake.params.limits)
faces = read_table(snakemake.input.table)
with atomic_folder(snakemake.output.masks) as masks:
    table = segment_skin(faces, snakemake.input.crops, masks, settings, limits)
write_table(snakemake.output.table, table)
