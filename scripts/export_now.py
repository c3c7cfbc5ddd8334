"""Our predictions for a NoW-layout data set, in the layout of a submission.

input: dataset (its folder, or what makes it), model, tables and arrays (of reconstruct_coarse, one per shard;
    none for the mean face), people (arrays of reconstruct_person, where the task asks for them)
output: predictions (directory)
params: settings (export_now), task (evaluation.now.<name>, with a folder as dataset)
"""

from facemill.coarse.export_now import ReconstructedShard, export_now
from facemill.coarse.export_settings import ExportNowSettings
from facemill.evaluation.settings import NowTask
from facemill.formats.now import read_cases
from facemill.models.files import load_model
from facemill.runtime.files import load_arrays
from facemill.runtime.logs import log_to
from facemill.runtime.tables import read_table

log_to(snakemake.log[0])
task = NowTask(**snakemake.params.task)
export_now(
    task.predictions,
    cases=read_cases(task.dataset, task.image_list, task.challenges, need_scans=False),
    shards=map(
        ReconstructedShard,
        map(read_table, snakemake.input.tables),
        map(load_arrays, snakemake.input.arrays),
    ),
    model=load_model(snakemake.input.model),
    folder=snakemake.output.predictions,
    expression=task.expression,
    identity=task.identity,
    people=map(load_arrays, snakemake.input.people),
    settings=ExportNowSettings(**snakemake.params.settings),
)
