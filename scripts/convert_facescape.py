"""FaceScape's bilinear model as a model of ours.

input: head (resources/models/head.npz), files (those that lie in the folder)
output: model
params: folder
"""

from facemill.formats.facescape_model import read_facescape_model
from facemill.models.conversion.facescape import model_of_facescape
from facemill.models.files import save_model
from facemill.models.head import load_head
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
model = model_of_facescape(
    read_facescape_model(snakemake.params.folder), template=load_head(snakemake.input.head)
)
save_model(snakemake.output.model, model)
