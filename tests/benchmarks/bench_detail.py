"""The detail layer: what a face costs, and one training step, each split.

Processor seconds of one thread, because other work on the machine would count in the time on the wall.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from numpy.typing import NDArray

from facemill.detail.atlas import DetailAtlas, prepare_detail_atlas
from facemill.detail.coarse_maps import coarse_maps
from facemill.detail.inputs import network_inputs
from facemill.detail.networks.files import load_network
from facemill.detail.observation import observe
from facemill.detail.prediction import predict
from facemill.detail.reconstruct import reconstruct_detail
from facemill.detail.settings import ReconstructDetailSettings
from facemill.detail.training.augmentation import draw_augmentation, mirror_of
from facemill.detail.training.batches import PackedFaces, batch_from, collate
from facemill.detail.training.objective import DetailObjective
from facemill.detail.training_settings import TrainDetailSettings
from facemill.faces.coarse_faces import read_coarse
from facemill.faces.crops import read_mask
from facemill.faces.decode import mean_face
from facemill.models.head import load_head
from facemill.models.morphable import MorphableModel
from unit.detail.detail_toys import write_toy_shard
from unit.detail.face_folder import make_faces

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = ROOT / "resources" / "weights" / "detail.safetensors"
NAMES = ["a", "b", "c", "d"]
BATCH = 4


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Processor seconds of one call."""
    work()
    begin = time.process_time()
    for _ in range(repeats):
        work()
    return (time.process_time() - begin) / repeats


def run() -> list[dict]:
    """Rows for run_all.py."""
    torch.set_num_threads(1)
    model = load_head(ROOT / "resources" / "models" / "head.npz")
    atlas = prepare_detail_atlas(model.topology)
    with tempfile.TemporaryDirectory() as place:
        return [
            *inference_rows(Path(place) / "faces", model, atlas),
            *training_rows(Path(place) / "shard", model, atlas),
        ]


def inference_rows(place: Path, model: MorphableModel, atlas: DetailAtlas) -> list[dict]:
    """What `reconstruct_detail` does for a face, and its parts."""
    faces = make_faces(place, model, NAMES)
    settings = ReconstructDetailSettings(network=str(WEIGHTS))
    masks = faces.place / "masks"

    def stage() -> None:
        reconstruct_detail(
            faces.table, faces.arrays, model, masks, faces.originals, place / "out.npz", settings, strict=True
        )

    whole = seconds(stage, repeats=1) / len(NAMES)
    row = faces.table.iloc[0]
    face = read_coarse(faces.table, faces.arrays, model).posed(row["photo"], row["photo_from_crop"])
    photo: NDArray = faces.originals.pixels(row["file"])
    mask = read_mask(masks, row["photo"])
    look = seconds(lambda: observe(atlas, face, photo, mask))
    seen = observe(atlas, face, photo, mask)
    decode = seconds(lambda: coarse_maps(model, atlas, face.coefficients))
    maps = coarse_maps(model, atlas, face.coefficients)
    given = (
        seen.photo.colours[None],
        seen.evidence[None],
        seen.photo.pixels_per_mm[None].clamp(min=0.1).log2(),
    )
    prepare = seconds(lambda: network_inputs(maps, *given, atlas.mask, atlas.texel))
    inputs = network_inputs(maps, *given, atlas.mask, atlas.texel)
    network = load_network(WEIGHTS, "head", model.topology).to(memory_format=torch.channels_last)
    read = seconds(lambda: predict(network, inputs, given[1], atlas.mask))
    size = f"{atlas.window[2]} x {atlas.window[3]} texels"
    return [
        _row(f"reconstruct_detail per face, {size}, files to files", 1000 * whole, "ms"),
        _row("… photo into the atlas, evidence", 1000 * look, "ms", 1000 * whole, "the face"),
        _row("… coarse face in the atlas", 1000 * decode, "ms", 1000 * whole, "the face"),
        _row("… inputs of the network", 1000 * prepare, "ms", 1000 * whole, "the face"),
        _row("… network", 1000 * read, "ms", 1000 * whole, "the face"),
    ]


def training_rows(place: Path, model: MorphableModel, atlas: DetailAtlas) -> list[dict]:
    """One step of `train_detail` on labelled faces, float32."""
    write_toy_shard(place, model, atlas, BATCH)
    images = PackedFaces([place])
    settings = TrainDetailSettings()
    objective = DetailObjective(model, atlas, settings, mirror_of(atlas, mean_face(model)))
    network = load_network(WEIGHTS, "head", model.topology).to(memory_format=torch.channels_last).train()
    device = torch.device("cpu")
    load = seconds(lambda: batch_from(collate([images[n] for n in range(BATCH)]), device))
    batch = batch_from(collate([images[n] for n in range(BATCH)]), device)
    drawn = draw_augmentation(list(range(BATCH)), settings.augmentation)
    render = seconds(lambda: objective.scene(batch, drawn))
    scene = objective.scene(batch, drawn)
    output = objective.output(network, scene.inputs, drawn.flip).detach()
    slope = torch.ones_like(output)

    def learn() -> None:
        objective.output(network, scene.inputs, drawn.flip).backward(slope)

    def judge() -> None:
        objective.loss(output.clone().requires_grad_(), scene.maps, batch).loss.backward()

    network_time, losses = seconds(learn), seconds(judge)
    step = load + render + network_time + losses
    return [
        _row(f"training step of train_detail, batch {BATCH}, labels", step, "s"),
        _row("… data", load, "s", step, "the step"),
        _row("… render: decode, into the atlas, augment", render, "s", step, "the step"),
        _row("… network: forward and backward", network_time, "s", step, "the step"),
        _row("… losses", losses, "s", step, "the step"),
    ]


def _row(name: str, value: float, unit: str, whole: float | None = None, peer: str = "") -> dict:
    if whole is None:
        return {"name": name, "value": value, "unit": unit}
    return {"name": name, "value": value, "unit": unit, "ratio": value / whole, "peer": peer}
