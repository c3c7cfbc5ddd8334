"""Training through the workflow: what ships as configuration is planned, and a small training runs."""

import json
import shutil

import pandas as pd
import pytest
import yaml

from workflow.running import QUICK_FIT, ROOT, run_snakemake

WEIGHTS = "coarse/train_coarse/network.safetensors"


def test_the_paper_scale_training_is_planned_on_a_folder_of_photos(tmp_path):
    configuration = yaml.safe_load((ROOT / "config" / "paper" / "deep3d.yaml").read_text())
    shutil.copytree(ROOT / "resources" / "photos", tmp_path / "faces")
    configuration["photos"] = {"faces": {"folder": "faces", "shard_size": 2}}
    run = run_snakemake(tmp_path, configuration, "--dry-run", f"results/deep3d/{WEIGHTS}")
    assert run.code == 0, run.output[-2000:]
    assert run.jobs["train_coarse"] == run.jobs["split_dataset"] == run.jobs["convert_bfm09"] == 1
    assert run.jobs["pack_training"] == run.jobs["segment_skin"] == 2


def test_the_pretraining_is_planned_on_synthetic_people(tmp_path):
    configuration = yaml.safe_load((ROOT / "config" / "pretrain.yaml").read_text())
    for people in configuration["synthesis"]["photos"].values():
        people["identities"] = 60
    run = run_snakemake(tmp_path, configuration, "--dry-run", f"results/pretrain/{WEIGHTS}")
    assert run.code == 0, run.output[-2000:]
    assert run.jobs["synthesize_photos"] == run.jobs["pack_training"] == 6
    assert run.jobs["train_coarse"] == 1


def test_an_unknown_training_set_is_named(tmp_path):
    configuration = {"photos": {}, "train_coarse": {"train": ["portraits"]}}
    run = run_snakemake(tmp_path, configuration, "--dry-run", f"results/demo/{WEIGHTS}")
    assert run.code != 0
    assert "train_coarse names portraits" in run.output


@pytest.mark.slow
def test_photos_and_synthetic_people_train_one_network_that_reconstructs(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("astronaut.png", "hopper.jpg"):
        shutil.copy(ROOT / "resources" / "photos" / name, folder)
    configuration = {
        "run": "small",
        "photos": {"portraits": {"folder": "photos"}},
        "synthesis": {
            "photos": {
                "people": {"identities": 3, "photos_per_identity": 2, "size": 112},
                "others": {"split": "val", "identities": 1, "photos_per_identity": 2, "size": 112},
            }
        },
        "pack_training": {"reduction": 2},
        "split_dataset": {"val_share": 0.0},
        "train_coarse": {
            "train": ["people", "portraits"],
            "validation": ["others"],
            "network": {"backbone": "resnet18", "width": 8, "reduction": 2},
            "batch": 4,
            "epochs": 2,
            "log_interval": 1,
            "validation_interval": 2,
        },
    }
    run = run_snakemake(tmp_path, configuration, f"results/small/{WEIGHTS}", timeout=1200)
    assert run.code == 0, run.output[-3000:]
    place = tmp_path / "results" / "small" / "coarse"
    summary = json.loads((place / "train_coarse" / "summary.json").read_text())
    assert (summary["images"], summary["validation_images"]) == (8, 2)
    rows = pd.read_csv(place / "train_coarse" / "metrics.csv")
    for name in ("photometric", "perceptual", "true_shape", "shape_ratio"):
        assert rows[name].notna().any(), name
    configuration["reconstruct_coarse"] = {"network": f"results/small/{WEIGHTS}", **QUICK_FIT}
    table = "results/small/coarse/portraits/reconstruct_coarse/0000.parquet"
    run = run_snakemake(tmp_path, configuration, table, timeout=1200)
    assert run.code == 0, run.output[-3000:]
    assert (pd.read_parquet(tmp_path / table)["status"] == "ok").all()
