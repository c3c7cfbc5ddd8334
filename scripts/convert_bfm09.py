"""The Basel Face Model 2009 and its expression basis as models of ours.

input: head (resources/models/head.npz), files (those that lie in the folder)
output: model (35,709 vertices), head (53,490 vertices), front (BFM_model_front.mat)
params: folder
"""

from facemill.formats.bfm09 import write_model_front
from facemill.models.conversion.bfm09 import convert_bfm09
from facemill.models.files import save_model
from facemill.models.head import load_head
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
converted = convert_bfm09(snakemake.params.folder, template=load_head(snakemake.input.head))
save_model(snakemake.output.model, converted.model)
save_model(snakemake.output.head, converted.head)
write_model_front(snakemake.output.front, converted.crop)
