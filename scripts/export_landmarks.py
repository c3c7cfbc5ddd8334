"""The 68 landmarks of our reconstructions, as they are scored.

input: tables, arrays (of reconstruct_coarse, one per shard), model
output: predictions (directory)
params: settings (reconstruct_coarse)
"""

from facemill.coarse.export_landmarks import export_landmarks
from facemill.coarse.export_now import ReconstructedShard
from facemill.coarse.settings import CoarseSettings
from facemill.models.files import load_model
from facemill.runtime.files import load_arrays
from facemill.runtime.logs import log_to
from facemill.runtime.tables import read_table

log_to(snakemake.log[0])
export_landmarks(
    shards=map(
        ReconstructedShard,
        map(read_table, snakemake.input.tables),
        map(load_arrays, snakemake.input.arrays),
    ),
    model=load_model(snakemake.input.model),
    folder=snakemake.output.predictions,
    convention=CoarseSettings(**snakemake.params.settings).landmark_convention,
)
