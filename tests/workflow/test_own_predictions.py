"""Evaluations of our own predictions, in one command, on data sets that lie on disk."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from facemill.formats.now import NowCase
from facemill.formats.now_predictions import prediction_files
from facemill.geometry.mesh import Mesh
from facemill.models.head import load_head
from unit.evaluation.analytic_face import write_list, write_subject
from workflow.running import QUICK_FIT, ROOT, run_snakemake

CASES = ["ann/multiview_neutral/1", "ann/selfie/2", "bert/selfie/3", "bert/selfie/4"]
RELEASE = "NoW_Dataset/final_release_version"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A portrait, the same in another place of the layout, a cat, and a picture that is missing."""
    root = tmp_path_factory.mktemp("data")
    write_list(root, CASES)
    head = load_head(ROOT / "resources" / "models" / "head.npz")
    shape = head.mean_shape.double().numpy() * 1.03
    face = head.topology.regions["face"].numpy()
    triangles = head.topology.triangles.numpy()
    triangles = triangles[face[triangles].all(axis=1)]
    for subject in ("ann", "bert"):
        write_subject(root, subject, Mesh(shape, triangles), shape[head.topology.now_landmarks.numpy()])
    photos = ROOT / "resources" / "photos"
    places = [f"{RELEASE}/iphone_pictures/{CASES[0]}.jpg", *(f"iphone_pictures/{c}.jpg" for c in CASES[1:3])]
    for name, place in zip(("astronaut.png", "astronaut.png", "cat.jpg"), places, strict=True):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        Image.open(photos / name).convert("RGB").save(root / place, quality=92)
    box = root / "detected_face" / f"{CASES[1]}.npy"
    box.parent.mkdir(parents=True)
    sides = {"left": 170.0, "top": 60.0, "right": 280.0, "bottom": 180.0}
    np.save(box, np.array(sides, dtype=object), allow_pickle=True)
    return root


@pytest.mark.slow
def test_one_command_reconstructs_the_pictures_of_a_data_set_and_scores_them(dataset, tmp_path):
    configuration = {
        "run": "own",
        "photos": {},
        "evaluation": {
            "now": {
                "floor": {"dataset": str(dataset), "predictions": "mean_face"},
                "mine": {"dataset": str(dataset), "predictions": "coarse", "shard_size": 2},
            }
        },
        "reconstruct_coarse": QUICK_FIT,
        "evaluate_now": {"heat_maps": 1, "draws": 20},
    }
    results = tmp_path / "results" / "own" / "evaluation"
    goal = "results/own/evaluation/now/mine.json"
    run = run_snakemake(tmp_path, configuration, goal)
    assert run.code == 0, run.output
    summary = json.loads((results / "now" / "mine.json").read_text())
    assert (summary["cases"], summary["scored"], summary["missing"]) == (4, 2, 2)
    assert summary["predictions"] == "coarse" and 0.1 < summary["median"] < 6
    assert "no_face" in summary["not_scored"][CASES[2]]
    assert "unreadable" in summary["not_scored"][CASES[3]]
    table = pd.read_csv(results / "now" / "mine" / "predictions" / "predictions.csv", dtype=str)
    assert table["case"].tolist() == CASES and table["photo"][0] == "ann_multiview_neutral_1"
    case = NowCase("ann", "selfie", "2", "ann/selfie/2.jpg")
    assert all(prediction_files(results / "now" / "mine" / "predictions", case))
    detected = [
        pd.read_parquet(path)
        for path in sorted((tmp_path / "results/own/photos/now_mine/detect_faces").glob("*.parquet"))
    ]
    assert len(detected) == 2 and set(pd.concat(detected)["points_file"]) == {
        "",
        f"detected_face/{CASES[1]}.npy",
    }
    again = run_snakemake(tmp_path, configuration, goal)
    assert again.jobs == {}, again.output
    floor = run_snakemake(tmp_path, configuration, "results/own/evaluation/now/floor.json")
    assert floor.code == 0 and set(floor.jobs) == {"export_now", "evaluate_now"}
    assert json.loads((results / "now" / "floor.json").read_text())["scored"] == 4


def test_pictures_that_are_not_there_are_named_before_anything_runs(dataset, tmp_path):
    shutil.copytree(dataset, tmp_path / "data", ignore=shutil.ignore_patterns("iphone_pictures"))
    task = {"dataset": str(tmp_path / "data"), "predictions": "coarse"}
    configuration = {"run": "own", "photos": {}, "evaluation": {"now": {"mine": task}}}
    run = run_snakemake(tmp_path, configuration, "results/own/evaluation/now/mine.json", "-n")
    assert run.code != 0 and "holds no picture of its 4 cases" in run.output
    assert "Traceback" not in run.output
    configuration["photos"] = {"now_mine": {"folder": str(ROOT / "resources" / "photos")}}
    run = run_snakemake(tmp_path, configuration, "-n")
    assert run.code != 0 and "rename the photo set" in run.output


SYNTHETIC = {
    "run": "made",
    "photos": {},
    "synthesis": {"scans": {"heads": {"identities": 1, "photos_per_identity": 3, "size": 400}}},
    "evaluation": {
        "now": {
            "floor": {"dataset": "synthesis.scans.heads", "predictions": "mean_face"},
            "mine": {"dataset": "synthesis.scans.heads", "predictions": "coarse", "shard_size": 2},
        }
    },
    "reconstruct_coarse": QUICK_FIT,
    "evaluate_now": {"heat_maps": 1, "draws": 20, "visible_only": True},
}


def test_a_synthetic_data_set_is_made_before_it_is_evaluated(tmp_path):
    run = run_snakemake(tmp_path, SYNTHETIC, "-n", "results/made/report.html")
    assert run.code == 0, run.output
    assert run.jobs["synthesize_scans"] == 1 and run.jobs["list_scans"] == 1
    assert run.jobs["export_now"] == run.jobs["evaluate_now"] == 2 and run.jobs["compare_methods"] == 1
    unknown = {**SYNTHETIC, "synthesis": {}}
    run = run_snakemake(tmp_path, unknown, "-n", "results/made/evaluation/now/mine.json")
    assert run.code != 0 and "list synthesis.scans.heads" in run.output and "Traceback" not in run.output


@pytest.mark.slow
def test_the_benchmark_in_one_command(tmp_path):
    run = run_snakemake(tmp_path, SYNTHETIC, "results/made/report.html", timeout=1800)
    assert run.code == 0, run.output
    results = tmp_path / "results" / "made"
    summary = json.loads((results / "evaluation" / "now" / "mine.json").read_text())
    assert summary["cases"] == 3 and summary["scored"] >= 1 and summary["origin"] == "synthetic"
    assert "unreadable" not in str(summary["not_scored"])  # every picture that was planned was made
    assert {"yaw", "expression"} <= set(summary["breakdown"])
    floor = pd.read_csv(results / "evaluation" / "floor.csv").set_index(["evaluation", "group"])
    assert 0.3 < floor.loc[("mine", "all"), "ratio"] < 2
    comparison = pd.read_csv(results / "evaluation" / "comparison.csv")
    assert comparison["here_synthetic_data"].notna().any() and comparison["here_original_data"].isna().all()
    page = (results / "report.html").read_text()
    assert 'id="evaluation"' in page and "the mean face" in page and "Beside published figures" not in page
