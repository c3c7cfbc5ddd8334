"""Accuracy of the coarse network against the number of images it is trained on, steps and seed the same.

python tests/benchmarks/curve_training_images.py [steps [shards ...]]

Needs the packed sets of `snakemake --configfile config/pretrain.yaml`; trains on their first shards with that
configuration's settings, for the given number of steps (1,000). Shards hold 600 images; all together 2, 8 and
40 are tried. Trainings lie in results/curve and go on where they stopped.
"""

import sys
from pathlib import Path

import pandas as pd
import yaml

from facemill.coarse.training.batches import PackedShards
from facemill.coarse.training.train import train_coarse
from facemill.coarse.training_settings import TrainSettings
from facemill.configuration import check_configuration
from facemill.models.head import load_head
from facemill.runtime.devices import choose_device, use_threads
from facemill.training.files import TrainingFiles, TrainingOutputs

ROOT = Path(__file__).resolve().parents[2]
PACKED = ROOT / "results" / "pretrain" / "coarse"
FOLDER = ROOT / "results" / "curve"
SHARDS = (2, 8, 40)
COLUMNS = ["landmark_error", "dense_error", "shape_ratio"]


def shards_of(name: str) -> list[str]:
    """Folders of the packed shards of a set, in their order."""
    return sorted(str(path) for path in (PACKED / name / "pack_training").iterdir() if path.is_dir())


def settings_of_pretraining() -> TrainSettings:
    """`train_coarse` of config/pretrain.yaml."""
    text = (ROOT / "config" / "pretrain.yaml").read_text()
    return check_configuration(yaml.safe_load(text)).train_coarse


def train_on(count: int, steps: int) -> dict:
    """Train on the first `count` shards; the last row of the validation of its run."""
    files = TrainingFiles(train=shards_of("train")[:count], validation=shards_of("val"))
    images = len(PackedShards(files.train))
    settings = settings_of_pretraining()
    settings = settings.model_copy(update={"epochs": steps * settings.batch / images})
    folder = FOLDER / f"{images}_{steps}"
    outputs = TrainingOutputs(
        folder / "network.safetensors",
        folder / "metrics.csv",
        folder / "faces.png",
        folder / "summary.json",
    )
    model = load_head(ROOT / "resources" / "models" / "head.npz")
    train_coarse(files, model, "head", settings, folder / "run", outputs, choose_device("cpu"))
    rows = pd.read_csv(outputs.metrics)
    validated = rows[rows["kind"] == "validation"]
    best = validated.loc[validated["shape_ratio"].idxmin()]
    return {"images": images, "epochs": steps * settings.batch / images, "best step": int(best["step"])} | {
        name: float(best[name]) for name in COLUMNS
    }


def main(steps: int = 1000, *shards: int) -> None:
    """Train and print the curve."""
    use_threads(1)
    print(pd.DataFrame([train_on(count, steps) for count in shards or SHARDS]).to_string(index=False))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
