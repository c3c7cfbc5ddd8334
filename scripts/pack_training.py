"""Crops, masks, landmarks and labels of one shard, as arrays to train on.

input: table, crops, masks, model; truth and head for synthetic sets; tuples of sets of people
output: table, arrays (folder)
params: settings, masks, truth, tuples, people_set (name of the set that names of people are of, or empty)
"""

from facemill.coarse.training.packing import pack_training, read_truth, read_tuples, save_packed
from facemill.coarse.training_settings import PackSettings
from facemill.models.files import load_model
from facemill.runtime.devices import use_threads
from facemill.runtime.files import atomic_folder
from facemill.runtime.logs import log_to
from facemill.runtime.tables import read_table, write_table

log_to(snakemake.log[0])
use_threads(snakemake.threads)
table, arrays = pack_training(
    table=read_table(snakemake.input.table),
    crops_folder=snakemake.input.crops,
    masks_folder=snakemake.params.masks,
    model=load_model(snakemake.input.model),
    settings=PackSettings(**snakemake.params.settings),
    truth=read_truth(snakemake.params.truth, snakemake.input.head),
    tuples=read_tuples(snakemake.params.tuples),
    people_set=snakemake.params.people_set,
)
with atomic_folder(snakemake.output.arrays) as folder:
    save_packed(folder, arrays)
write_table(snakemake.output.table, table)
