"""The run's morphable model, expanded from the compact form that is shipped.

input: head (resources/models/head.npz); output: model
"""

from facemill.models.files import save_model
from facemill.models.head import load_head
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
save_model(snakemake.output.model, load_head(snakemake.input.head))
