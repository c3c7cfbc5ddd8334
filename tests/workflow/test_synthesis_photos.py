"""Synthetic photographs through the workflow: targets, equal bytes, a broken job, the real photo chain."""

import csv
from pathlib import Path

import pytest
import yaml

from facemill.runtime.tables import read_table
from workflow.running import ROOT, run_snakemake

SMALL = {"split": "test", "identities": 2, "photos_per_identity": 1, "shard_size": 1, "size": 64}
CONFIGURATION = {"run": "small", "photos": {}, "synthesis": {"photos": {"mine": SMALL}}}
FOLDER = "results/small/synthesis/photos/mine"
DETECTED = 0.95  # of the portraits within 30 degrees, by dlib's frontal detector


def made(folder: Path) -> dict[str, bytes]:
    root = folder / FOLDER
    files = (path for path in root.rglob("*") if path.is_file() and path.name != ".snakemake_timestamp")
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def test_the_sheet_needs_its_shards_and_nothing_else(tmp_path):
    run = run_snakemake(tmp_path, CONFIGURATION, "--dry-run", f"{FOLDER}/contact_sheet.png")
    assert run.code == 0, run.output
    assert run.jobs == {"synthesize_photos": 2, "draw_contact_sheet": 1}


def test_an_unknown_set_is_named(tmp_path):
    run = run_snakemake(tmp_path, CONFIGURATION, "results/small/synthesis/photos/yours/contact_sheet.png")
    assert run.code != 0 and "synthesis.photos.yours" in run.output and "it has: mine" in run.output


@pytest.mark.slow
def test_two_runs_give_the_same_bytes_and_a_broken_one_leaves_nothing(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        run = run_snakemake(folder, CONFIGURATION, f"{FOLDER}/contact_sheet.png")
        assert run.code == 0, run.output
    assert made(first) == made(second) and len(made(first)) == 2 * 4 + 1
    broken = tmp_path / "broken"
    broken.mkdir()
    wrong = {**CONFIGURATION, "synthesize_photos": {"nearest": 3000.0, "farthest": 400.0}}
    run = run_snakemake(broken, wrong, f"{FOLDER}/contact_sheet.png")
    assert run.code != 0
    assert not made(broken)


@pytest.mark.slow
def test_dlib_finds_the_faces_of_the_shipped_portraits(tmp_path):
    configuration = yaml.safe_load((ROOT / "config" / "synthesis.yaml").read_text())
    folder = "results/synthetic/synthesis/photos/portraits"
    first = run_snakemake(tmp_path, configuration, f"{folder}/contact_sheet.png", timeout=1800)
    assert first.code == 0, first.output
    configuration["photos"] = {"mine": {"folder": str(tmp_path / folder / "synthesize_photos" / "0000")}}
    run = run_snakemake(tmp_path, configuration, "results/synthetic/photos/mine/faces.csv", timeout=1800)
    assert run.code == 0, run.output
    with (tmp_path / "results/synthetic/photos/mine/faces.csv").open(newline="") as file:
        status = {row["photo"]: row["status"] for row in csv.DictReader(file)}
    truth = read_table(tmp_path / folder / "synthesize_photos" / "0000.parquet")
    near = truth.loc[truth["yaw"].abs() <= 30, "photo"]
    assert len(status) == 200 and len(near) > 100
    assert sum(status[photo] != "no_face" for photo in near) >= DETECTED * len(near)
