"""Packed shards of rendered toy faces with their truth."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from facemill.coarse.expression_space import whole_expression_space
from facemill.coarse.networks.coarse_network import spec_for
from facemill.coarse.training.labels import WHOLLY, label_maker
from facemill.coarse.training.packing import save_packed
from facemill.coarse.training_settings import NetworkSettings, TrainSettings
from facemill.faces.decode import FaceDecoder
from facemill.geometry.camera import deep3d_crop_camera, project_camera_points
from facemill.models.coefficients import Coefficients
from facemill.models.morphable import LinearModel
from facemill.rendering.rasterize import interpolate, rasterize
from facemill.training.files import TrainingOutputs

NETWORK = NetworkSettings(backbone="resnet18", width=8, reduction=4)
QUICK = TrainSettings(
    network=NETWORK, rendered_share=0.0, batch=8, epochs=4, learning_rate=3e-3, schedule="cosine",
    log_interval=1, validation_interval=4, checkpoint_interval=2, pictures=2, average=0.9,
)  # fmt: skip

NAMES = ("browUpLeft", "browUpRight", "jawOpen", "mouthLeft")
SIDE = 56
DENSE_ROWS = (36, 45, 39, 42, 30, 8)  # of the 68 landmarks: four eye corners, nose tip, chin


def with_blendshapes(model: LinearModel) -> LinearModel:
    """The toy model in float32 with four blendshapes, one for each expression coefficient."""
    named = replace(model, blendshape_names=NAMES, blendshape_coefficients=torch.eye(4, dtype=torch.float64))
    return named.to(dtype=torch.float32)


def drawn_faces(model: LinearModel, count: int, seed: int = 0) -> tuple[Coefficients, dict[str, np.ndarray]]:
    """Faces with the arrays of a packed shard; expression holds strengths."""
    draw = torch.Generator().manual_seed(seed)

    def normal(width: int, scale: float) -> torch.Tensor:
        return scale * torch.randn(count, width, generator=draw)

    rotation = normal(3, 0.1)
    rotation[:, 1] = 0.6 * torch.rand(count, generator=draw) - 0.3
    truth = Coefficients(
        normal(6, 1.0),
        torch.rand(count, 4, generator=draw),
        normal(3, 0.5),
        rotation,
        normal(3, 4.0),
        normal(27, 0.05),
    )
    space = whole_expression_space(model, 0.5)
    decoder = FaceDecoder(space.model)
    decoded = decoder(truth)
    size = (SIDE, SIDE)
    intrinsics = deep3d_crop_camera(SIDE).intrinsics
    triangles = model.topology.triangles
    fragments = rasterize(decoded.vertices, triangles, intrinsics, size, True)
    crops = interpolate(fragments, fragments.barycentrics, decoded.colors, triangles)
    corners = model.topology.landmarks68[list(DENSE_ROWS)]
    dense = project_camera_points(decoded.vertices[:, corners], deep3d_crop_camera().intrinsics).pixels
    maker = label_maker(model)
    shapes = model.shape(truth.identity, torch.zeros(count, 4))[:, maker.vertices].double()
    best, floor = maker.form.targets(shapes)
    mean_error = maker.form.targets(shapes, WHOLLY)[1]
    arrays = {
        "crops": np.rint(255 * crops.clamp(0, 1).numpy()).astype(np.uint8),
        "attention": (255 * fragments.mask.numpy()).astype(np.uint8),
        "landmarks": decoded.landmarks.numpy(),
        "photo": np.array([f"face_{seed}_{n:03d}" for n in range(count)]),
        "person": np.array([f"somebody_{seed}_{n // 3}" for n in range(count)]),
        "labelled": np.ones(count, dtype=bool),
        "identity": best.float().numpy(),
        "floor": floor.float().numpy(),
        "mean_error": mean_error.float().numpy(),
        "strengths": truth.expression.numpy(),
        "rotation": truth.rotation.numpy(),
        "translation": truth.translation.numpy(),
        "dense_landmarks": dense.numpy(),
        "dense_vertices": corners.numpy(),
    }
    return truth, arrays


def packed_shard(folder: Path, model: LinearModel, count: int, seed: int = 0) -> Path:
    """Write a packed shard of drawn faces."""
    folder.mkdir(parents=True)
    save_packed(folder, drawn_faces(model, count, seed)[1])
    return folder


def toy_spec(model, dense=()):
    return spec_for(model, **NETWORK.model_dump(exclude={"dense_landmarks"}), dense_vertices=tuple(dense))


def results(folder: Path, name: str = "w") -> TrainingOutputs:
    return TrainingOutputs(*(folder / f"{name}.{ending}" for ending in ("safetensors", "csv", "png", "json")))


def rows_of(folder: Path, kind: str) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if v} for row in csv.DictReader(file) if row["kind"] == kind]


def losses_of(folder: Path) -> list[float]:
    return [float(row["loss"]) for row in rows_of(folder, "train")]


def training_script(folder: Path) -> Path:
    """A program that trains with settings (JSON) in a folder with `model.npz`: see its arguments."""
    script = folder / "training.py"
    script.write_text(
        "import sys\n"
        "import torch\n"
        "from facemill.coarse.training.train import train_coarse\n"
        "from facemill.training.files import TrainingFiles, TrainingOutputs\n"
        "from facemill.coarse.training_settings import TrainSettings\n"
        "from facemill.models.files import load_model\n"
        "torch.set_num_threads(1)\n"
        "settings, place, files = sys.argv[1:4]\n"
        "train, validation = files.split(';')\n"
        "files = TrainingFiles(train.split(','), [validation])\n"
        "train_coarse(files, load_model(f'{place}/model.npz'), 'toy',\n"
        "    TrainSettings.model_validate_json(settings), f'{place}/run{sys.argv[4]}',\n"
        "    TrainingOutputs(*(f'{place}/w{sys.argv[4]}.{e}' for e in 'safetensors csv png json'.split())),\n"
        "    torch.device('cpu'))\n"
    )
    return script
