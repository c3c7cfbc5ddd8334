"""68 predicted landmarks against true ones, by yaw (AFLW2000-3D).

input: folder, predictions (folders)
output: summary (evaluation/landmarks/<name>.json), faces (evaluation/landmarks/<name>_faces.csv)
params: settings (evaluate_landmarks), task (evaluation.landmarks.<name>, with a folder in place of `coarse`),
    source (predictions as the configuration has them)
"""

from facemill.evaluation.landmarks import evaluate_landmarks, write_landmarks
from facemill.evaluation.settings import LandmarkErrorSettings, LandmarkTask
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
evaluation = evaluate_landmarks(LandmarkTask(**snakemake.params.task))
write_landmarks(
    evaluation,
    LandmarkErrorSettings(**snakemake.params.settings),
    summary=snakemake.output.summary,
    table=snakemake.output.faces,
    source=snakemake.params.source,
)
