"""Displacement and confidence for each reconstructed face of a shard.

input: faces (reconstruct_coarse table), arrays (reconstruct_coarse .npz), model
output: table, arrays
params: settings, masks_folder (segment_skin/<shard>), photo_folder, model_name, device
"""

from facemill.detail.reconstruct import reconstruct_detail
from facemill.detail.settings import ReconstructDetailSettings
from facemill.faces.photo_source import PhotoSource
from facemill.models.files import load_model
from facemill.photos.plan import name_of_text
from facemill.photos.reading import read_photo
from facemill.runtime.devices import choose_device, use_threads
from facemill.runtime.files import load_arrays
from facemill.runtime.logs import log_to
from facemill.runtime.tables import read_table, write_table

log_to(snakemake.log[0])
use_threads(snakemake.threads)
table = reconstruct_detail(
    table=read_table(snakemake.input.faces),
    arrays=load_arrays(snakemake.input.arrays),
    model=load_model(snakemake.input.model),
    masks_folder=snakemake.params.masks_folder,
    originals=PhotoSource(snakemake.params.photo_folder, name_of_text, read_photo),
    output=snakemake.output.arrays,
    settings=ReconstructDetailSettings(**snakemake.params.settings),
    device=choose_device(snakemake.params.device),
    model_name=snakemake.params.model_name,
)
write_table(snakemake.output.table, table)
