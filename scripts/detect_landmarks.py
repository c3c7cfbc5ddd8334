"""68 landmarks on each crop of a shard.

input: table (align_faces), crops (folder of <photo>.png)
output: table
params: settings, limits (of one photo)
"""

from facemill.photos.landmarks import detect_landmarks
from facemill.photos.settings import LandmarkSettings
from facemill.runtime.logs import log_to
from facemill.runtime.settings import PhotoLimits
from facemill.runtime.tables import read_table, write_table

log_to(snakemake.log[0])
settings = LandmarkSettings(**snakemake.params.settings)
limits = PhotoLimits(**snakemake.params.limits)
faces = read_table(snakemake.input.table)
table = detect_landmarks(faces, snakemake.input.crops, settings, limits=limits)
write_table(snakemake.output.table, table)
