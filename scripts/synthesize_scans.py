"""One synthetic person: scan, its seven points, photographs and face boxes, in NoW's layout.

input: head (resources/models/head.npz), anthropometry
output: scans, landmarks, pictures, boxes (the person's folders), truth (table)
params: settings, task (synthesis.scans.<name>)
wildcards: name, person
"""

from facemill.runtime.devices import use_threads
from facemill.runtime.logs import log_to
from facemill.synthesis.identities import Population
from facemill.synthesis.scans import synthesize_scans
from facemill.synthesis.settings import ScanTask, SynthesizeScansSettings
from facemill.synthesis.splits import person_number

log_to(snakemake.log[0])
use_threads(snakemake.threads)
settings = SynthesizeScansSettings(**snakemake.params.settings)
population = Population(None, snakemake.input.head, settings.seed, snakemake.input.anthropometry)
synthesize_scans(
    population,
    population.person(person_number(snakemake.wildcards.person)),
    ScanTask(**snakemake.params.task),
    settings,
    scans=snakemake.output.scans,
    landmarks=snakemake.output.landmarks,
    pictures=snakemake.output.pictures,
    boxes=snakemake.output.boxes,
    truth=snakemake.output.truth,
)
