"""The demo's photographs through the whole workflow: results, second run, single targets, broken runs."""

import csv
import re
import shutil
from pathlib import Path

import pytest

from workflow.running import QUICK_FIT, ROOT, Run, run_snakemake

CONFIGURATION = {
    "run": "small",
    "photos": {"portraits": {"folder": str(ROOT / "resources" / "photos")}},
    "reconstruct_coarse": QUICK_FIT,
}
FACE_FILES = {
    *("mesh.obj", "mesh_plain.obj", "mesh.glb", "neutral.obj", "now_landmarks.txt", "coefficients.mat"),
    *("camera.json", "landmarks68.txt", "landmarks68_crop.txt", "landmarks68_3d.txt"),
    *("overlay_crop.png", "overlay.png", "geometry.png", "turned.png"),
    *("closeup.png", "closeup_overlay.png"),
}

DETAIL_FILES = {
    *("mesh.obj", "mesh.glb", "dense.glb", "displacement.png", "displacement.json", "normal.png"),
    *("normal_object.png", "confidence.png", "overlay.png", "geometry.png"),
}


def rules_of(stage: str) -> list[str]:
    text = (ROOT / "workflow" / "rules" / f"{stage}.smk").read_text()
    return re.findall(r"^rule (\w+):", text, re.MULTILINE)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, Run]:
    folder = tmp_path_factory.mktemp("demo")
    return folder, run_snakemake(folder, CONFIGURATION)


def test_run_ends_well_and_runs_every_rule_of_photos_and_faces(finished):
    folder, run = finished
    assert run.code == 0, run.output
    rules = {name for stage in ("photos", "coarse", "detail", "report") for name in rules_of(stage)}
    on_request = {"export_photo", "convert_identity_network", "pack_training", "train_coarse"}
    on_request |= {"estimate_costs", "export_photo_detail", "animate_detail", "pack_detail", "train_detail"}
    assert set(run.jobs) == rules - on_request | {"prepare_model", "all"}
    assert (folder / "results/small/report.html").stat().st_size > 100_000


def test_each_photo_is_a_result_or_a_reason(finished):
    with (finished[0] / "results/small/photos/portraits/faces.csv").open(newline="") as file:
        status = {row["photo"]: row["status"] for row in csv.DictReader(file)}
    assert status == {"astronaut": "ok", "hopper": "ok", "cat": "no_face", "photographer": "no_face"}


def test_each_face_has_all_files(finished):
    for photo in ("astronaut", "hopper"):
        folder = finished[0] / "results/small/coarse/portraits" / photo
        assert {path.name for path in folder.iterdir()} >= FACE_FILES


def test_each_face_has_its_detail(finished):
    for photo in ("astronaut", "hopper"):
        folder = finished[0] / "results/small/detail/portraits" / photo
        assert {path.name for path in folder.iterdir()} >= DETAIL_FILES


def test_second_run_has_nothing_to_do(finished):
    again = run_snakemake(finished[0], CONFIGURATION)
    assert again.code == 0 and "Nothing to be done" in again.output


def test_one_table_needs_only_the_stages_before_it(tmp_path):
    target = "results/small/photos/portraits/detect_landmarks/0000.parquet"
    run = run_snakemake(tmp_path, CONFIGURATION, "--dry-run", target)
    assert run.jobs == dict.fromkeys(("index_photos", "detect_faces", "align_faces", "detect_landmarks"), 1)


def test_one_photo_can_be_named(finished):
    folder = finished[0]
    face = folder / "results/small/coarse/portraits/hopper"
    before = (face / "mesh.glb").read_bytes()
    shutil.rmtree(face)
    run = run_snakemake(folder, CONFIGURATION, "results/small/coarse/portraits/hopper/mesh.glb")
    assert run.code == 0, run.output
    assert run.jobs == {"export_photo": 1}
    assert (face / "mesh.glb").read_bytes() == before
    assert {path.name for path in face.iterdir()} >= FACE_FILES


def test_naming_a_photo_without_a_face_says_why(finished):
    run = run_snakemake(finished[0], CONFIGURATION, "results/small/coarse/portraits/cat/mesh.glb")
    assert run.code != 0
    assert "cat" in run.output and "no_face" in run.output


def test_naming_an_unknown_photo_says_so(finished):
    run = run_snakemake(finished[0], CONFIGURATION, "results/small/coarse/portraits/nobody/mesh.glb")
    assert run.code != 0
    assert "photo nobody" in run.output and "Traceback" not in run.output


def test_a_new_photo_reruns_only_its_shard(finished, tmp_path):
    photos = tmp_path / "photos"
    shutil.copytree(ROOT / "resources" / "photos", photos)
    configuration = {**CONFIGURATION, "photos": {"mine": {"folder": str(photos), "shard_size": 1}}}
    target = "results/small/photos/mine/faces.csv"
    assert run_snakemake(tmp_path, configuration, target).code == 0
    shutil.copy(photos / "cat.jpg", photos / "another cat.jpg")
    again = run_snakemake(tmp_path, configuration, "--dry-run", target)
    assert again.jobs["index_photos"] == 1 and again.jobs["detect_faces"] == 1
