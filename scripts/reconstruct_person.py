"""One identity and one albedo for all photos of each person of a shard.

input: table (group_people), arrays (reconstruct_coarse .npz), crops (align_faces/<shard>),
    masks (segment_skin/<shard>), model
output: table, people, listing (the same as CSV), arrays
params: settings, coarse (settings of reconstruct_coarse), model_name, device
"""

from facemill.coarse.image_sets.person_settings import PersonSettings
from facemill.coarse.image_sets.reconstruct import reconstruct_person
from facemill.coarse.settings import CoarseSettings
from facemill.models.files import load_model
from facemill.runtime.devices import choose_device, use_threads
from facemill.runtime.files import load_arrays, save_arrays, write_text
from facemill.runtime.logs import log_to
from facemill.runtime.tables import read_table, write_table

log_to(snakemake.log[0])
use_threads(snakemake.threads)
found = reconstruct_person(
    table=read_table(snakemake.input.table),
    arrays=load_arrays(snakemake.input.arrays),
    crops_folder=snakemake.input.crops,
    masks_folder=snakemake.input.masks,
    model=load_model(snakemake.input.model),
    settings=PersonSettings(**snakemake.params.settings),
    coarse=CoarseSettings(**snakemake.params.coarse),
    device=choose_device(snakemake.params.device),
    model_name=snakemake.params.model_name,
)
save_arrays(snakemake.output.arrays, found.arrays)
write_table(snakemake.output.people, found.people)
write_text(snakemake.output.listing, found.people.to_csv(index=False))
write_table(snakemake.output.table, found.photos)
