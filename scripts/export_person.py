"""Meshes, textures and pictures of each person of a shard, one folder per person.

input: table, people and arrays (of reconstruct_person), model,
    whole (a model with more of the head, or the same)
output: table
params: settings, photo_folder, folder (people/<set>)
"""

from facemill.coarse.export_settings import ExportPersonSettings
from facemill.coarse.image_sets.person_export import PersonShard, export_people
from facemill.faces.photo_source import PhotoSource
from facemill.models.sources import load_models
from facemill.photos.plan import name_of_text
from facemill.photos.reading import read_photo
from facemill.runtime.devices import use_threads
from facemill.runtime.files import load_arrays
from facemill.runtime.logs import log_to
from facemill.runtime.tables import read_table, write_table

log_to(snakemake.log[0])
use_threads(snakemake.threads)
model, whole = load_models(snakemake.input.model, snakemake.input.whole)
table = export_people(
    shard=PersonShard(
        read_table(snakemake.input.table),
        read_table(snakemake.input.people),
        load_arrays(snakemake.input.arrays),
    ),
    model=model,
    whole=whole,
    originals=PhotoSource(snakemake.params.photo_folder, name_of_text, read_photo),
    output_folder=snakemake.params.folder,
    settings=ExportPersonSettings(**snakemake.params.settings),
)
write_table(snakemake.output.table, table)
