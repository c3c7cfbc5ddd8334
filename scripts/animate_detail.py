"""The detail of one photo on the same face under other expressions.

input: faces (reconstruct_detail table), arrays (reconstruct_coarse .npz), detail (reconstruct_detail .npz),
    model
output: picture (expressions.png), meshes (the folder expressions beside it)
params: settings, photo_folder, folder (detail/<set>/<photo>)
wildcards: photo
"""

from facemill.detail.animate import animate_detail
from facemill.detail.export_settings import AnimateDetailSettings
from facemill.faces.photo_source import PhotoSource
from facemill.models.files import load_model
from facemill.photos.plan import name_of_text
from facemill.photos.reading import read_photo
from facemill.runtime.devices import use_threads
from facemill.runtime.files import load_arrays
from facemill.runtime.logs import log_to
from facemill.runtime.tables import read_table

log_to(snakemake.log[0])
use_threads(snakemake.threads)
animate_detail(
    table=read_table(snakemake.input.faces),
    coarse_arrays=load_arrays(snakemake.input.arrays),
    detail_arrays=load_arrays(snakemake.input.detail),
    model=load_model(snakemake.input.model),
    originals=PhotoSource(snakemake.params.photo_folder, name_of_text, read_photo),
    folder=snakemake.params.folder,
    settings=AnimateDetailSettings(**snakemake.params.settings),
    photo=snakemake.wildcards.photo,
)
