"""The files in the root of a NoW-layout data set of synthetic people: its list, its mark, its truth.

input: truth (list: truth/<person>.csv)
output: mark (synthetic.json), list (imagepathsvalidation.txt), truth (truth.csv)
params: dataset (folder), task (synthesis.scans.<name>), seed
wildcards: name
"""

from facemill.runtime.logs import log_to
from facemill.synthesis.scans import list_scans
from facemill.synthesis.settings import ScanTask

log_to(snakemake.log[0])
list_scans(
    snakemake.input.truth,
    dataset=snakemake.params.dataset,
    task=ScanTask(**snakemake.params.task),
    seed=snakemake.params.seed,
)
