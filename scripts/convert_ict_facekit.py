"""ICT-FaceKit's folder of OBJ files as a model of ours.

input: head (resources/models/head.npz), files (those that lie in the folder)
output: model
params: folder, settings
"""

from facemill.formats.ict_facekit import read_ict_facekit
from facemill.models.conversion.ict_facekit import model_of_ict_facekit
from facemill.models.conversion.settings import IctFaceKitSettings
from facemill.models.files import save_model
from facemill.models.head import load_head
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
settings = IctFaceKitSettings(**snakemake.params.settings)
model = model_of_ict_facekit(
    read_ict_facekit(snakemake.params.folder, settings.identity_count),
    template=load_head(snakemake.input.head),
    settings=settings,
)
save_model(snakemake.output.model, model)
