"""What the whole run costs, and what of it is done.

input: costs (list: costs.csv of other runs)
output: plan (plan.csv), costs (costs.csv: what the jobs of this run took)
params: results (results/<run>), jobs (list of [rule, set, jobs, done, photos per job, GPUs]), outputs (list
    of [path below results with {wildcards}, rule])
"""

from facemill.report.costs import write_plan
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
write_plan(
    plan=snakemake.output.plan,
    costs=snakemake.output.costs,
    results=snakemake.params.results,
    jobs=snakemake.params.jobs,
    outputs=snakemake.params.outputs,
    elsewhere=snakemake.input.costs,
)
