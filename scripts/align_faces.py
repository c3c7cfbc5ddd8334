"""The aligned crop of each face of a shard, and the transform back to the photo.

input: table (detect_faces)
output: table, crops (folder of <photo>.png)
params: folder (of the photos), settings, limits (of one photo)
"""

from facemill.photos.alignment import align_faces
from facemill.photos.settings import AlignSettings
from facemill.runtime.files import atomic_folder
from facemill.runtime.logs import log_to
from facemill.runtime.settings import PhotoLimits
from facemill.runtime.tables import read_table, write_table

log_to(snakemake.log[0])
settings = AlignSettings(**snakemake.params.settings)
limits = PhotoLimits(**snakemake.params.limits)
faces = read_table(snakemake.input.table)
with atomic_folder(snakemake.output.crops) as crops:
    table = align_faces(faces, snakemake.params.folder, crops, settings, limits=limits)
write_table(snakemake.output.table, table)
