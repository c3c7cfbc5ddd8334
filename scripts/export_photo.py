"""Meshes, coefficients, landmarks and pictures of one photo, asked for by name.

input: faces (reconstruct_coarse table), arrays (reconstruct_coarse .npz), model,
    whole (a model with more of the head, or the same)
output: any files of the folder <params.folder>/<wildcards.photo>
params: settings, photo_folder, crops_folder (align_faces/<shard>), folder (coarse/<set>)
wildcards: photo
"""

from facemill.coarse.export import export_coarse
from facemill.coarse.export_settings import ExportSettings
from facemill.faces.photo_source import PhotoSource
from facemill.models.sources import load_models
from facemill.photos.plan import name_of_text
from facemill.photos.reading import read_photo
from facemill.runtime.devices import use_threads
from facemill.runtime.files import load_arrays
from facemill.runtime.logs import log_to
from facemill.runtime.tables import read_table

log_to(snakemake.log[0])
use_threads(snakemake.threads)
model, whole = load_models(snakemake.input.model, snakemake.input.whole)
export_coarse(
    table=read_table(snakemake.input.faces),
    arrays=load_arrays(snakemake.input.arrays),
    model=model,
    whole=whole,
    crops_folder=snakemake.params.crops_folder,
    originals=PhotoSource(snakemake.params.photo_folder, name_of_text, read_photo),
    output_folder=snakemake.params.folder,
    settings=ExportSettings(**snakemake.params.settings),
    photos=[snakemake.wildcards.photo],
)
