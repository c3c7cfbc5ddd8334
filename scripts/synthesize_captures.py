"""Calibrated captures of one synthetic person, in FaceScape's layout.

input: head (resources/models/head.npz), anthropometry
output: images, meshes, truth (the person's folders)
params: settings, task (synthesis.captures.<name>)
wildcards: name, person
"""

from facemill.runtime.devices import use_threads
from facemill.runtime.logs import log_to
from facemill.synthesis.captures import synthesize_captures
from facemill.synthesis.identities import Population
from facemill.synthesis.settings import CaptureTask, SynthesizeCapturesSettings

log_to(snakemake.log[0])
use_threads(snakemake.threads)
settings = SynthesizeCapturesSettings(**snakemake.params.settings)
population = Population(None, snakemake.input.head, settings.seed, snakemake.input.anthropometry)
synthesize_captures(
    population,
    population.person(int(snakemake.wildcards.person)),
    CaptureTask(**snakemake.params.task),
    images=snakemake.output.images,
    meshes=snakemake.output.meshes,
    truth=snakemake.output.truth,
)
