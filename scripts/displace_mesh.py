"""The model's own mesh on the surface that was found: OBJ, GLB, PLY, and the displacement as a picture.

input: capture (prepare_capture/capture.json), views (its pictures), arrays and report (fit_base_mesh), model,
    maps (uv_maps.npz), mesoscopic (mesoscopic.npz), regularized (regularized.npz), texture (texture.png)
output: displacement (displacement.png), sidecar (displacement.json), obj (mesh.obj; mesh.mtl beside it), glb,
    ply, stages (surface_stages.png), folder (displace_mesh: preview, summary, levels, FaceScape's map)
params: settings, model_name
wildcards: capture
"""

from pathlib import Path

from facemill.formats.surface_maps import read_surface_map
from facemill.models.files import load_model
from facemill.multiview.capture_files import CaptureFiles
from facemill.multiview.displacing.files import MeshFiles, make_meshes
from facemill.multiview.displacing.settings import DisplaceMeshSettings
from facemill.multiview.stage_pictures import write_stage_picture
from facemill.runtime.devices import use_threads
from facemill.runtime.logs import log_to

log_to(snakemake.log[0])
use_threads(snakemake.threads)
model = load_model(snakemake.input.model)
capture = CaptureFiles(
    snakemake.wildcards.capture,
    snakemake.input.capture,
    snakemake.input.arrays,
    snakemake.input.report,
    snakemake.input.maps,
).open(model)
make_meshes(
    capture,
    read_surface_map(snakemake.input.regularized),
    read_surface_map(snakemake.input.mesoscopic),
    snakemake.input.texture,
    model,
    DisplaceMeshSettings(**snakemake.params.settings),
    snakemake.params.model_name,
    MeshFiles(
        Path(snakemake.output.displacement),
        Path(snakemake.output.sidecar),
        Path(snakemake.output.obj),
        Path(snakemake.output.glb),
        Path(snakemake.output.ply),
        Path(snakemake.output.folder),
    ),
)
write_stage_picture(
    capture,
    model.topology,
    {"regularized": snakemake.input.regularized, "mesoscopic": snakemake.input.mesoscopic},
    snakemake.output.stages,
)
