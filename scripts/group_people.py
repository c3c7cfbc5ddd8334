"""Which photos of each person of a shard are used, how they are turned, and which form tuples.

input: table and arrays (of reconstruct_coarse), crops (align_faces/<shard>), model
output: table, tuples
params: settings
"""

from facemill.coarse.grouping_settings import GroupSettings
from facemill.coarse.image_sets.grouping import group_people
from facemill.coarse.networks.identity_network import load_identity
from facemill.models.files import load_model
from facemill.runtime.devices import use_threads
from facemill.runtime.files import load_arrays
from facemill.runtime.logs import log_to
from facemill.runtime.tables import read_table, write_table

log_to(snakemake.log[0])
use_threads(snakemake.threads)
settings = GroupSettings(**snakemake.params.settings)
table, tuples = group_people(
    table=read_table(snakemake.input.table),
    arrays=load_arrays(snakemake.input.arrays),
    crops_folder=snakemake.input.crops,
    model=load_model(snakemake.input.model),
    network=load_identity(settings.identity_network),
    settings=settings,
)
write_table(snakemake.output.table, table)
write_table(snakemake.output.tuples, tuples)
