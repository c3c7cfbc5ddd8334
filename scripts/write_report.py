"""One self-contained page about the run.

input: faces (list: photos/<set>/faces.csv), coarse (list: coarse/<set>/export_coarse/<shard>.parquet),
    evaluations (list: evaluation/<kind>/<name>.json), comparison (list: what compare_methods wrote, or none),
    training (list: what trainings wrote, or none), people and exported_people (lists: what
    reconstruct_person and export_person wrote, or none), detail (list of
    detail/<set>/export_detail/<shard>.parquet, or none), captures (list: multiview/captures.csv and what else
    was made of captures, or none)
output: page
params: settings, run (its name), results (results/<run>), benchmarks (folder), configuration (mapping)
"""

from facemill.report.capture_inputs import read_captures
from facemill.report.detail_inputs import read_detail
from facemill.report.evaluation_inputs import read_evaluations
from facemill.report.inputs import read_inputs
from facemill.report.page import write_report
from facemill.report.people_inputs import read_people
from facemill.report.settings import ReportSettings
from facemill.report.surface_inputs import read_surfaces
from facemill.report.training_inputs import read_trainings
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
captures = read_captures(snakemake.input.captures)
inputs = read_inputs(
    run=snakemake.params.run,
    results=snakemake.params.results,
    benchmarks=snakemake.params.benchmarks,
    configuration=snakemake.params.configuration,
    faces=snakemake.input.faces,
    coarse=snakemake.input.coarse,
    evaluations=read_evaluations(snakemake.input.evaluations, snakemake.input.comparison),
    trainings=read_trainings(snakemake.input.training),
    people=read_people(snakemake.input.people, snakemake.input.exported_people),
    detail=read_detail(snakemake.input.detail),
    captures=captures,
    surfaces=read_surfaces(captures, snakemake.input.captures, snakemake.params.benchmarks),
)
write_report(snakemake.output.page, inputs, ReportSettings(**snakemake.params.settings))
