"""The run's morphable model: the shipped head expanded from its compact form, or what a converter made.

input: source (resources/models/head.npz, or the model of convert_bfm09 or convert_ict_facekit); output: model
"""

from facemill.models.sources import prepare_model
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
prepare_model(snakemake.input.source, snakemake.output.model)
