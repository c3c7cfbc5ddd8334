"""Box and five points of the face, or of all faces, of each photo of a shard.

input: table (index_photos)
output: table
params: folder (of the photos), settings, limits (of one photo)
"""

from facemill.photos.detection import detect_faces
from facemill.photos.settings import DetectSettings
from facemill.runtime.logs import log_to
from facemill.runtime.settings import PhotoLimits
from facemill.runtime.tables import read_table, write_table

log_to(snakemake.log[0])
settings = DetectSettings(**snakemake.params.settings)
limits = PhotoLimits(**snakemake.params.limits)
faces = read_table(snakemake.input.table)
table = detect_faces(faces, snakemake.params.folder, settings, limits=limits)
write_table(snakemake.output.table, table)
