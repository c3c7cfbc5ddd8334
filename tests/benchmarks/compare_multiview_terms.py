"""What MGCNet's multi-view terms bring: trainings with and without them, else alike, judged on other people.

python tests/benchmarks/compare_multiview_terms.py [shipped, landmarks or frontal] [steps] [packed sets]

Needs the packed sets of `snakemake --configfile config/multiview.yaml`, the default of the last argument
(`results/multiview/coarse`). Trains without labels: landmarks, photometric and regularising terms, and in two
of the arms the multi-view terms, with the paper's weights and with larger ones. All arms begin with the same
network and see the same images in the same order with the same augmentation. `shipped`: the shipped network,
trained with labels but rarely on turned heads, 150 steps of fine-tuning; `landmarks`: one that has seen
200 steps of landmarks and no label, 300 steps; `frontal`: the shipped one again, 300 steps, where the views
up to 20 degrees of yaw keep their labels, as those have whose scans were registered: what is known of them
has to reach the other views of a sitting. There the depth term of the third arm has a weight of the labels'
size. Trainings lie in results/multiview_arms and go on where they stopped.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from facemill.coarse.networks.coarse_network import coefficients_of, prediction_of
from facemill.coarse.networks.files import load_network
from facemill.coarse.training.batches import PackedShards
from facemill.coarse.training.labels import label_maker
from facemill.coarse.training.objective import TrainingObjective
from facemill.coarse.training.train import export_weights, train_coarse
from facemill.coarse.training.validation import batches_of, predict_numbers
from facemill.coarse.training_settings import (
    AugmentationSettings,
    ConsistencyWeights,
    HybridWeights,
    NetworkSettings,
    SupervisedWeights,
    TrainSettings,
)
from facemill.geometry.camera import deep3d_crop_camera, project_camera_points
from facemill.geometry.rotation import matrix_from_euler_deep3d
from facemill.models.head import load_head
from facemill.models.morphable import MorphableModel
from facemill.runtime.devices import choose_device, use_threads
from facemill.training.files import TrainingFiles, TrainingOutputs

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "results" / "multiview_arms"
LARGE_YAW = 45.0
START_STEPS, START_BATCH = 200, 48
NO_LABELS = SupervisedWeights(shape=0, strengths=0, rotation=0, translation=0, landmarks=0, dense_landmarks=0)
COMMON = TrainSettings(
    network=NetworkSettings(backbone="resnet18", width=32, reduction=2),
    hybrid=HybridWeights(perceptual=0),  # saves a third of the time
    supervised=NO_LABELS,
    augmentation=AugmentationSettings(brightness=0.1),
    landmark_convention="model",
    batch=12,
    learning_rate=3e-4,
    schedule="cosine",
    warmup_steps=20,
    weight_decay=0.01,
    average=0.98,
    precision="bf16",
    validation_interval=100,
    checkpoint_interval=50,
    protocol_images=0,
    pictures=4,
)
FINE_TUNING = {"learning_rate": 1e-4, "freeze_norms": True, "warmup_steps": 10, "average": 0.95}
STEPS = {"shipped": 150, "landmarks": 300, "frontal": 300}
FRONTAL_YAW = 20.0
SHIPPED = ROOT / "resources" / "weights" / "coarse.safetensors"
NOTHING = ConsistencyWeights(share=1.0, pixel=0, ssim=0, depth=0, epipolar=0)  # tuples, and no terms
ARMS = {
    "without": NOTHING,
    "strong": ConsistencyWeights(share=1.0, pixel=1.5, depth=0.02, epipolar=0.02),
    "paper": ConsistencyWeights(share=1.0),
}
BESIDE_LABELS = ConsistencyWeights(share=1.0, pixel=1.5, depth=1.0, epipolar=0.02)


def train(name: str, settings: TrainSettings, files: TrainingFiles, model: MorphableModel) -> Path:
    """Train, or go on; returns the weights of the last step (the best are chosen by labels)."""
    folder = FOLDER / name
    endings = ("network.safetensors", "metrics.csv", "faces.png", "summary.json")
    outputs = TrainingOutputs(*(folder / ending for ending in endings))
    train_coarse(files, model, "head", settings, folder / "run", outputs, choose_device("cpu"))
    last = folder / "last.safetensors"
    export_weights(
        folder / "run" / "last.pth", load_network(outputs.weights, model, "head"), "head", last, {}
    )
    return last


def with_frontal_labels(shard: Path) -> Path:
    """The shard without the labels of turned views: its other arrays are links."""
    folder = FOLDER / "frontal" / shard.name
    folder.mkdir(parents=True, exist_ok=True)
    for path in shard.glob("*.npy"):
        link = folder / path.name
        link.unlink(missing_ok=True)
        if path.name != "labelled.npy":
            link.symlink_to(path.resolve())
    yaw = np.rad2deg(np.load(shard / "rotation.npy", allow_pickle=False)[:, 1])
    labelled = np.load(shard / "labelled.npy", allow_pickle=False)
    np.save(folder / "labelled.npy", labelled & (np.abs(yaw) <= FRONTAL_YAW))
    return folder


def start_settings(images: int) -> TrainSettings:
    """Landmarks on every image, the other self-supervised terms on an eighth."""
    changed = {
        "supervised": NO_LABELS.model_copy(update={"landmarks": 0.01}),
        "rendered_share": 0.125,
        "batch": START_BATCH,
        "epochs": START_STEPS * START_BATCH / images,
        "learning_rate": 1e-3,
        "schedule": "step",
        "average": 0.99,
    }
    return COMMON.model_copy(update=changed)


def judge(weights: Path, images: PackedShards, model: MorphableModel) -> pd.DataFrame:
    """Errors of each image against its labels."""
    network = load_network(weights, model, "head").eval()
    maker = label_maker(model)
    objective = TrainingObjective(model, network.spec, COMMON, maker, None)
    rows = []
    for batch in batches_of(images, list(range(len(images))), network):
        numbers = predict_numbers(network, batch)
        prediction = prediction_of(numbers, network.spec)
        measured = objective.measures(numbers, batch)
        turn = matrix_from_euler_deep3d(prediction.rotation) @ matrix_from_euler_deep3d(batch.rotation).mT
        cosine = (turn.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2
        rows.append(
            pd.DataFrame(
                {
                    "yaw": torch.rad2deg(batch.rotation[:, 1]).numpy(),
                    "landmarks, px": measured["landmark_pixels"].numpy(),
                    "dense, px": dense_error(numbers, batch, network.spec, model, images).numpy(),
                    "rotation, degrees": torch.rad2deg(cosine.clamp(-1, 1).acos()).numpy(),
                    "shape, mm": measured["shape_error"].sqrt().numpy(),
                    "mean face, mm": measured["mean_face_error"].sqrt().numpy(),
                }
            )
        )
    table = pd.concat(rows, ignore_index=True)
    table["person"] = images.people()
    return table


def dense_error(numbers, batch, spec, model, images) -> torch.Tensor:
    """(B,) mean distance, px of the 224 crop, of the surface's dense landmarks from the true ones."""
    vertices = torch.tensor(images.dense_vertices)
    part = model.subset(vertices)
    coefficients = coefficients_of(prediction_of(numbers, spec), spec, model)
    shape = part.shape(coefficients.identity, coefficients.expression)
    camera = deep3d_crop_camera()
    turned = shape @ matrix_from_euler_deep3d(coefficients.rotation).mT + coefficients.translation[:, None]
    pixels = project_camera_points(camera.points_in_camera(turned), camera.intrinsics).pixels
    return (pixels - batch.dense_landmarks).norm(dim=-1).mean(1)


def over_people(values: NDArray, people: NDArray) -> tuple[float, float]:
    """Mean over people of their means, and its standard error."""
    means = pd.Series(values).groupby(people).mean()
    return float(means.mean()), float(means.std(ddof=1) / np.sqrt(len(means)))


def compare(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One row per range of yaw and error: each arm, the start too, and the arm's paired difference to
    `without` with its standard error over people."""
    first = tables["without"]
    ranges = {f"above {LARGE_YAW:.0f}": first["yaw"].abs() > LARGE_YAW}
    ranges |= {f"up to {LARGE_YAW:.0f}": ~next(iter(ranges.values()))}
    rows = []
    for name, kept in ranges.items():
        people = first["person"][kept].to_numpy()
        for error in [column for column in first if "," in column]:
            row = {"yaw": name, "error": error, "people": len(set(people)), "images": int(kept.sum())}
            for arm, table in tables.items():
                row[arm] = over_people(table[error][kept].to_numpy(), people)[0]
                if arm not in ("without", "start"):
                    change = (table[error] - first[error])[kept].to_numpy()
                    row[f"{arm}: change"], row[f"{arm}: its error"] = over_people(change, people)
            rows.append(row)
    return pd.DataFrame(rows)


def main(begin: str, steps: int, packed: Path) -> None:
    """Train the arms and print the table."""
    use_threads(1)
    shards = {part: sorted(_shards(packed / part)) for part in ("train", "val")}
    if begin == "frontal":
        shards["train"] = [with_frontal_labels(shard) for shard in shards["train"]]
    named = {part: [str(shard) for shard in found] for part, found in shards.items()}
    files = TrainingFiles(train=named["train"], validation=named["val"])
    model = load_head(ROOT / "resources" / "models" / "head.npz")
    images = len(PackedShards(files.train))
    arms = ARMS
    if begin == "landmarks":
        start, common = train("start", start_settings(images), files, model), COMMON
    else:
        start, common = SHIPPED, COMMON.model_copy(update=FINE_TUNING)
    if begin == "frontal":
        common = common.model_copy(update={"supervised": SupervisedWeights()})
        arms = {"without": NOTHING, "strong": ARMS["strong"], "beside labels": BESIDE_LABELS}
    held_out = PackedShards(files.validation)
    tables = {"start": judge(start, held_out, model)}
    for arm, consistency in arms.items():
        changed = {"start": str(start), "epochs": steps * COMMON.batch / images, "consistency": consistency}
        name = f"{begin}_{arm}_{steps}".replace(" ", "_")
        weights = train(name, common.model_copy(update=changed), files, model)
        tables[arm] = judge(weights, held_out, model)
        tables[arm].to_csv(FOLDER / f"{name}.csv", index=False)
        print(compare(tables).to_string(index=False, float_format="%.3f"), flush=True)


def _shards(packed: Path) -> list[Path]:
    folder = packed / "pack_training" if (packed / "pack_training").is_dir() else packed
    return [path for path in folder.iterdir() if path.is_dir()]


if __name__ == "__main__":
    given = sys.argv[1:]
    chosen = given[0] if given else "shipped"
    main(
        chosen,
        int(given[1]) if len(given) > 1 else STEPS[chosen],
        Path(given[2]) if len(given) > 2 else ROOT / "results" / "multiview" / "coarse",
    )
