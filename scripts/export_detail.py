"""Fine meshes, maps and pictures of each face with detail of a shard, one folder per photo.

input: faces (reconstruct_detail table), arrays (reconstruct_coarse .npz), detail (reconstruct_detail .npz),
    model
output: table
params: settings, photo_folder, folder (detail/<set>)
"""

from facemill.detail.export import export_detail
from facemill.detail.export_settings import ExportDetailSettings
from facemill.faces.photo_source import PhotoSource
from facemill.models.files import load_model
from facemill.photos.plan import name_of_text
from facemill.photos.reading import read_photo
from facemill.runtime.devices import use_threads
from facemill.runtime.files import load_arrays
from facemill.runtime.logs import log_to
from facemill.runtime.tables import read_table, write_table

log_to(snakemake.log[0])
use_threads(snakemake.threads)
table = export_detail(
    table=read_table(snakemake.input.faces),
    coarse_arrays=load_arrays(snakemake.input.arrays),
    detail_arrays=load_arrays(snakemake.input.detail),
    model=load_model(snakemake.input.model),
    originals=PhotoSource(snakemake.params.photo_folder, name_of_text, read_photo),
    output_folder=snakemake.params.folder,
    settings=ExportDetailSettings(**snakemake.params.settings),
)
write_table(snakemake.output.table, table)
