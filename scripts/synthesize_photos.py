"""Synthetic photographs of the people of one shard, with their truth.

input: head (resources/models/head.npz), anthropometry
output: table, arrays, pictures (folder)
params: settings, task (synthesis.photos.<name>)
wildcards: name, shard
"""

from facemill.runtime.devices import use_threads
from facemill.runtime.files import atomic_folder, save_arrays
from facemill.runtime.logs import log_to
from facemill.runtime.tables import write_table
from facemill.synthesis.identities import Population
from facemill.synthesis.photo_shards import synthesize_photos
from facemill.synthesis.settings import PhotoTask, SynthesizePhotosSettings

log_to(snakemake.log[0])
use_threads(snakemake.threads)
settings = SynthesizePhotosSettings(**snakemake.params.settings)
population = Population(None, snakemake.input.head, settings.seed, snakemake.input.anthropometry)
with atomic_folder(snakemake.output.pictures) as pictures:
    table, arrays = synthesize_photos(
        population, PhotoTask(**snakemake.params.task), settings, snakemake.wildcards.shard, pictures
    )
save_arrays(snakemake.output.arrays, arrays)
write_table(snakemake.output.table, table)
