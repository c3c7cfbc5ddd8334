"""Coefficients of the morphable model for each face of a shard.

input: table (of segment_skin, or of synthesize_photos), crops and masks (what holds their folders), model
output: table, arrays
params: settings, crops_folder, masks_folder, model_name, device
"""

from facemill.coarse.reconstruct import reconstruct_coarse
from facemill.coarse.settings import CoarseSettings
from facemill.models.files import load_model
from facemill.runtime.devices import choose_device, use_threads
from facemill.runtime.files import save_arrays
from facemill.runtime.logs import log_to
from facemill.runtime.tables import read_table, write_table

log_to(snakemake.log[0])
use_threads(snakemake.threads)
table, arrays = reconstruct_coarse(
    table=read_table(snakemake.input.table),
    crops_folder=snakemake.params.crops_folder,
    masks_folder=snakemake.params.masks_folder,
    model=load_model(snakemake.input.model),
    settings=CoarseSettings(**snakemake.params.settings),
    device=choose_device(snakemake.params.device),
    model_name=snakemake.params.model_name,
)
save_arrays(snakemake.output.arrays, arrays)
write_table(snakemake.output.table, table)
