"""Photos in the atlas, coarse faces and true displacement of one shard, as arrays to train on.

input: faces (reconstruct_coarse table), arrays (reconstruct_coarse .npz), model
output: table, arrays (folder)
params: settings, crops_folder, masks_folder, photo_folder, displacement_folder (None for photos)
"""

from facemill.detail.atlas import prepare_detail_atlas
from facemill.detail.training.packing import PictureFolders, pack_detail
from facemill.detail.training_settings import PackDetailSettings
from facemill.faces.photo_source import PhotoSource
from facemill.models.files import load_model
from facemill.photos.plan import name_of_text
from facemill.photos.reading import read_photo
from facemill.runtime.devices import use_threads
from facemill.runtime.files import atomic_folder, load_arrays
from facemill.runtime.logs import log_to
from facemill.runtime.tables import read_table, write_table

log_to(snakemake.log[0])
use_threads(snakemake.threads)
settings = PackDetailSettings(**snakemake.params.settings)
model = load_model(snakemake.input.model)
with atomic_folder(snakemake.output.arrays) as folder:
    table = pack_detail(
        table=read_table(snakemake.input.faces),
        arrays=load_arrays(snakemake.input.arrays),
        model=model,
        atlas=prepare_detail_atlas(model.topology, settings.size),
        pictures=PictureFolders(
            crops=snakemake.params.crops_folder,
            masks=snakemake.params.masks_folder,
            originals=PhotoSource(snakemake.params.photo_folder, name_of_text, read_photo),
            displacement=snakemake.params.displacement_folder,
        ),
        folder=folder,
    )
write_table(snakemake.output.table, table)
