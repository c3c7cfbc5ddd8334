"""One step of training, split: data, network, render and losses; feed-forward faces; images a loader gives.

Processor seconds, because other work on the machine would count in the time on the wall.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from facemill.coarse.networks.coarse_network import CoarseNetwork, spec_for
from facemill.coarse.networks.identity_network import load_identity
from facemill.coarse.networks.predictor import load_predictor
from facemill.coarse.reconstruct import reconstruct_coarse
from facemill.coarse.settings import CoarseSettings
from facemill.coarse.training.augmentation import augment, draw_augmentation
from facemill.coarse.training.batches import PackedShards, batch_from, collate
from facemill.coarse.training.labels import label_maker, mirror_map
from facemill.coarse.training.objective import TrainingObjective, network_input
from facemill.coarse.training.packing import save_packed
from facemill.coarse.training_settings import TrainSettings
from facemill.models.head import load_head
from facemill.runtime.files import save_arrays
from facemill.runtime.tables import write_table
from facemill.training.order import draw_seeds

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "resources" / "weights" / "coarse.safetensors"
BATCH = 32


def seconds(work: Callable[[], object], repeats: int = 2) -> float:
    """Processor seconds of one call."""
    work()
    begin = time.process_time()
    for _ in range(repeats):
        work()
    return (time.process_time() - begin) / repeats


def packed(folder: Path, model, count: int, side: int) -> PackedShards:
    """Noise in the shape of a packed shard; its labels are the mean face."""
    draw = np.random.default_rng(0)
    save_packed(
        folder,
        {
            "crops": draw.integers(0, 256, (count, side, side, 3), dtype=np.uint8),
            "attention": np.full((count, side, side), 255, np.uint8),
            "landmarks": draw.uniform(60, 160, (count, 68, 2)).astype(np.float32),
            "photo": np.array([f"p{n}" for n in range(count)]),
            "labelled": np.ones(count, dtype=bool),
            "identity": np.zeros((count, model.identity_count), np.float32),
            "floor": np.zeros(count, np.float32),
            "mean_error": np.ones(count, np.float32),
            "strengths": np.zeros((count, len(model.blendshape_names)), np.float32),
            "rotation": np.zeros((count, 3), np.float32),
            "translation": np.zeros((count, 3), np.float32),
            "dense_landmarks": np.zeros((count, 0, 2), np.float32),
            "dense_vertices": np.zeros(0, np.int64),
        },
    )
    return PackedShards([folder])


def feed_forward(folder: Path, crops: np.ndarray, model) -> float:
    """Seconds per face of the whole stage without refinement, from files to files."""
    names = [f"p{number}" for number in range(len(crops))]
    for name, crop in zip(names, crops, strict=True):
        Image.fromarray(np.rint(255 * crop).astype(np.uint8)).save(folder / f"{name}.png")
        (folder / "masks").mkdir(exist_ok=True)
        Image.fromarray(np.full(crop.shape[:2], 255, np.uint8)).save(folder / "masks" / f"{name}.png")
    points = np.random.default_rng(1).uniform(60, 160, (len(names), 136)).tolist()
    table = pd.DataFrame({"photo": names, "status": "ok", "reason": "", "landmarks68": points})
    settings = CoarseSettings(network=str(SHIPPED), refine=False, batch_size=8, largest_landmark_error=1e9)

    def work() -> None:
        found, arrays = reconstruct_coarse(table, folder, folder / "masks", model, settings)
        write_table(folder / "faces.parquet", found)
        save_arrays(folder / "faces.npz", arrays)

    return seconds(work) / len(names)


def run() -> list[dict]:
    """Rows for run_all.py."""
    torch.set_num_threads(1)
    model = load_head(ROOT / "resources" / "models" / "head.npz")
    settings = TrainSettings()
    spec = spec_for(model)
    maker = label_maker(model)
    mirror = mirror_map(model, maker)
    identity = load_identity(ROOT / "resources" / "weights" / "identity.safetensors")
    with_identity = TrainingObjective(model, spec, settings, maker, identity)
    without = TrainingObjective(model, spec, settings, maker, None)
    network = CoarseNetwork(spec).to(memory_format=torch.channels_last)
    with tempfile.TemporaryDirectory() as place:
        images = packed(Path(place), model, BATCH, spec.side)
        rows = list(range(BATCH))
        load = seconds(lambda: batch_from(collate([images[n] for n in rows]), torch.device("cpu")))
        batch = batch_from(collate([images[n] for n in rows]), torch.device("cpu"))
    drawn = draw_augmentation(draw_seeds(0, 1, batch.numbers), settings.augmentation)
    data = load + seconds(lambda: augment(batch, drawn, mirror))
    pictures = network_input(batch.crops, spec).contiguous(memory_format=torch.channels_last)
    learn = seconds(lambda: network(pictures).square().sum().backward(), repeats=1)

    def losses(objective: TrainingObjective) -> Callable[[], None]:
        def work() -> None:
            numbers = torch.zeros(BATCH, sum(spec.widths), requires_grad=True)
            objective(numbers, batch).loss.backward()

        return work

    rendered = seconds(losses(without), repeats=1)
    perceptual = seconds(losses(with_identity), repeats=1) - rendered
    step = data + learn + rendered + perceptual
    predict = load_predictor(SHIPPED, model, "head")
    face = seconds(lambda: predict(batch.crops[:1]), repeats=10)
    with tempfile.TemporaryDirectory() as scratch:
        stage = feed_forward(Path(scratch), batch.crops.numpy(), model)
    return [
        _row("training step, ResNet-50, batch 32 at 224", step, "s"),
        _row("… data: load and augment", data, "s", step),
        _row("… network: forward and backward", learn, "s", step),
        _row("… render and losses but the perceptual one", rendered, "s", step),
        _row("… perceptual loss (dlib's recogniser, three passes)", perceptual, "s", step),
        _row("images a loader process gives, augmented", BATCH / data, "images/s"),
        _row("the shipped network, one face", 1000 * face, "ms"),
        _row("reconstruct_coarse, refine: false, files read and written, per face", 1000 * stage, "ms"),
    ]


def _row(name: str, value: float, unit: str, whole: float | None = None) -> dict:
    if whole is None:
        return {"name": name, "value": value, "unit": unit}
    return {"name": name, "value": value, "unit": unit, "ratio": value / whole, "peer": "the step"}
