"""Box and five points of the face, or of all faces, of each photo of a shard.

input: table (index_photos)
output: table
params: folder (of the photos), settings
"""

from facemill.photos.detection import detect_faces
from facemill.photos.settings import DetectSettings
from facemill.runtime.logs import log_to
from facemill.runtime.tables import read_table, write_table

log_to(snakemake.log[0])
settings = DetectSettings(**snakemake.params.settings)
table = detect_faces(read_table(snakemake.input.table), snakemake.params.folder, settings)
write_table(snakemake.output.table, table)
