"""Training through the workflow: what ships as configuration is planned, and a small training runs."""

import json
import shutil

import pandas as pd
import pytest
import yaml

from facemill.coarse.networks.coarse_network import CoarseNetwork, spec_for
from facemill.coarse.networks.files import load_network, save_network
from facemill.models.head import load_head
from workflow.running import QUICK_FIT, ROOT, run_snakemake

WEIGHTS = "coarse/train_coarse/network.safetensors"


def test_the_paper_scale_training_is_planned_on_a_folder_of_photos(tmp_path):
    configuration = yaml.safe_load((ROOT / "config" / "paper" / "deep3d.yaml").read_text())
    shutil.copytree(ROOT / "resources" / "photos", tmp_path / "faces")
    configuration["photos"] = {"faces": {"folder": "faces", "shard_size": 2}}
    run = run_snakemake(tmp_path, configuration, "--dry-run")
    assert run.code == 0, run.output[-2000:]
    assert run.jobs["train_coarse"] == run.jobs["split_dataset"] == run.jobs["convert_bfm09"] == 1
    assert run.jobs["pack_training"] == run.jobs["segment_skin"] == 2


def test_the_pretraining_is_planned_on_synthetic_people(tmp_path):
    configuration = yaml.safe_load((ROOT / "config" / "pretrain.yaml").read_text())
    for people in configuration["synthesis"]["photos"].values():
        people["identities"] = 60
    run = run_snakemake(tmp_path, configuration, "--dry-run")
    assert run.code == 0, run.output[-2000:]
    assert run.jobs["synthesize_photos"] == run.jobs["pack_training"] == 3  # shards of 100 and of 50
    assert run.jobs["train_coarse"] == 1


def test_the_demo_is_planned_with_its_training_and_plain_snakemake_without(tmp_path):
    configuration = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    run = run_snakemake(tmp_path, configuration, "--dry-run")
    assert run.code == 0, run.output[-2000:]
    assert run.jobs["train_coarse"] == run.jobs["pack_training"] == 1
    assert run.jobs["train_detail"] == run.jobs["pack_detail"] == 1 and run.jobs["animate_detail"] == 2
    assert run.jobs["reconstruct_person"] == run.jobs["export_person"] == 2
    assert run.jobs["reconstruct_coarse"] == 3  # the portraits, and two sets of people
    assert run.jobs["synthesize_captures"] == run.jobs["fit_base_mesh"] == 1  # one person, two expressions
    assert run.jobs["export_base_mesh"] == run.jobs["build_uv_maps"] == run.jobs["evaluate_base_mesh"] == 2
    assert run.jobs["displace_mesh"] == run.jobs["evaluate_surface"] == 2
    assert run.jobs["train_implicit"] == run.jobs["train_mesoscopic"] == 1
    run = run_snakemake(tmp_path, {"run": "demo"}, "--dry-run")
    assert run.code == 0 and run.jobs["reconstruct_coarse"] == 1
    assert not {"train_coarse", "pack_training"} & set(run.jobs)


def test_the_demo_tunes_on_its_two_portraits_and_shows_it(tmp_path):
    """config/demo.yaml but for a smaller network to start from and less steps; the report without faces."""
    configuration = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    model = load_head(ROOT / "resources" / "models" / "head.npz")
    network = CoarseNetwork(spec_for(model, backbone="resnet18", width=8, reduction=2, dense_vertices=(1, 2)))
    save_network(tmp_path / "start.safetensors", network, "head")
    training = configuration["train_coarse"]
    training |= {"start": "start.safetensors", "epochs": 4, "network": {**training["network"], "width": 8}}
    configuration |= {"export_limit": 0, "people": {}, "synthesis": {}, "captures": {}}
    configuration |= {"train_implicit": {}, "train_mesoscopic": {}}
    configuration |= {"train_detail": {}, "animate_detail": {}, "reconstruct_detail": {"network": ""}}
    configuration["photos"] = {"portraits": {"folder": str(ROOT / "resources" / "photos")}}
    run = run_snakemake(tmp_path, configuration, "results/demo/report.html")
    assert run.code == 0, run.output[-3000:]
    assert run.jobs["train_coarse"] == 1 and "reconstruct_coarse" not in run.jobs
    place = tmp_path / "results" / "demo" / "coarse" / "train_coarse"
    summary = json.loads((place / "summary.json").read_text())
    assert (summary["images"], summary["steps"], summary["validation_seen"]) == (2, 4, True)
    rows = pd.read_csv(place / "metrics.csv")
    terms = {"photometric", "landmark", "perceptual", "identity", "expression", "albedo", "lighting"}
    assert rows[sorted(terms)].notna().any().all()
    assert rows[rows["kind"] == "validation"]["step"].tolist() == [0, 4]
    assert load_network(place / "network.safetensors", model, "head").spec == network.spec
    page = (tmp_path / "results" / "demo" / "report.html").read_text()
    assert 'id="training"' in page and "start.safetensors" in page


def test_an_unknown_training_set_is_named(tmp_path):
    configuration = {"photos": {}, "train_coarse": {"train": ["portraits"]}}
    run = run_snakemake(tmp_path, configuration, "--dry-run", f"results/demo/{WEIGHTS}")
    assert run.code != 0
    assert "a training names portraits" in run.output


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
