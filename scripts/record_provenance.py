"""What the run is made of: commit, versions, configuration, seeds, digests of plans, models and weights.

input: plans (list: photos/<set>/plan/plan.json and multiview/plan/<capture>.json)
output: provenance (provenance.json)
params: root (the repository), configuration (mapping), files (models and weights of the configuration)
"""

from facemill.runtime.logs import log_to
from facemill.runtime.provenance import write_provenance

log_to(snakemake.log[0])
write_provenance(
    snakemake.output.provenance,
    snakemake.params.root,
    snakemake.params.configuration,
    snakemake.input.plans,
    snakemake.params.files,
)
