"""Face models that users bring, from their files to a reconstructed face, and what stops a wrong file."""

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat

from facemill.formats.meshes import read_obj
from workflow.running import QUICK_FIT, ROOT, Run, run_snakemake

sys.path.insert(0, str(ROOT / "workflow"))

from planning import Plan

from facemill.configuration import check_configuration

FACE = "coarse/portraits/astronaut"


def configuration(model: str, files: Path, folder: Path, **converter) -> dict:
    photos = folder / "photos"
    photos.mkdir(exist_ok=True)
    shutil.copy(ROOT / "resources" / "photos" / "astronaut.png", photos)
    return {
        "run": model,
        "model": model,
        "photos": {"portraits": {"folder": str(photos)}},
        f"convert_{model}": {"folder": str(files), **converter},
        "reconstruct_coarse": QUICK_FIT,
        "export_coarse": {"texture_size": 256, "overlay_side": 200, "closeup_side": 120},
    }


def reconstruct(folder: Path, settings: dict) -> tuple[Path, Run]:
    results = Path("results") / settings["run"]
    run = run_snakemake(folder, settings, f"{results}/{FACE}/mesh.obj", f"{results}/report.html")
    return folder / results, run


@pytest.mark.slow
def test_basel_face_model_of_2009_reconstructs_a_photo(bfm09_folder, tmp_path):
    results, run = reconstruct(tmp_path, configuration("bfm09", bfm09_folder, tmp_path))
    assert run.code == 0, run.output
    assert run.jobs["convert_bfm09"] == run.jobs["prepare_model"] == 1
    assert len(read_obj(results / FACE / "mesh.obj").vertices) == 35709
    face = loadmat(results / FACE / "coefficients.mat")
    widths = {"id": 80, "exp": 64, "tex": 80, "angle": 3, "gamma": 27, "trans": 3}
    assert {key: face[key].shape[1] for key in widths} == widths
    assert np.abs(face["exp"]).max() > 0.1 and np.isfinite(face["id"]).all()
    assert loadmat(results / "convert_bfm09" / "BFM_model_front.mat")["idBase"].shape == (107127, 80)
    assert (results / "report.html").stat().st_size > 50_000


@pytest.mark.slow
def test_ict_facekit_reconstructs_a_photo(ict_folder, tmp_path):
    settings = configuration("ict_facekit", ict_folder, tmp_path, identity_count=4)
    results, run = reconstruct(tmp_path, settings)
    assert run.code == 0, run.output
    assert len(read_obj(results / FACE / "mesh.obj").vertices) == 24591
    assert loadmat(results / FACE / "coefficients.mat")["id"].shape == (1, 4)


def test_wrong_file_stops_the_run_and_says_which(bfm09_folder, tmp_path):
    files = tmp_path / "files"
    files.mkdir()
    for path in bfm09_folder.iterdir():
        os.symlink(path, files / path.name)
    (files / "Exp_Pca.bin").unlink()
    (files / "Exp_Pca.bin").write_bytes(bytes([79, 0, 0, 0]) + bytes(1000))
    run = run_snakemake(
        tmp_path, configuration("bfm09", files, tmp_path), "results/bfm09/models/bfm09.npz", timeout=300
    )
    assert run.code != 0 and not (tmp_path / "results/bfm09/models").exists()
    assert f"{files / 'Exp_Pca.bin'} is not the expression basis of Guo et al." in run.output
    assert "0% of it: the file is cut short" in run.output


def test_missing_folder_stops_the_run_and_says_what_belongs_there(tmp_path):
    settings = configuration("ict_facekit", tmp_path / "nowhere", tmp_path)
    run = run_snakemake(tmp_path, settings, "results/ict_facekit/models/ict_facekit.npz", timeout=300)
    assert run.code != 0
    assert f"found     no folder {tmp_path / 'nowhere'}" in run.output
    assert "copy the folder FaceXModel of github.com/ICT-VGL/ICT-FaceKit" in run.output


@pytest.mark.parametrize(
    ("model", "source", "whole"),
    [
        ("head", str(ROOT / "resources/models/head.npz"), "results/demo/models/head.npz"),
        ("bfm09", "results/demo/convert_bfm09/model.npz", "results/demo/convert_bfm09/head.npz"),
        ("ict_facekit", "results/demo/convert_ict_facekit/model.npz", "results/demo/models/ict_facekit.npz"),
    ],
)
def test_plan_knows_where_the_model_comes_from_and_what_now_gets(model, source, whole):
    plan = Plan(ROOT, check_configuration({"model": model, "photos": {}}), may_list=False)
    assert (plan.model_source, plan.whole_head) == (source, whole)


def test_files_of_a_model_that_is_not_used_are_not_looked_for(tmp_path):
    (tmp_path / "std_exp.txt").write_text("1")
    (tmp_path / ".gitignore").write_text("*")
    settings = {"photos": {}, "convert_bfm09": {"folder": str(tmp_path)}}
    assert Plan(ROOT, check_configuration(settings), may_list=False).model_files("bfm09") == []
    used = Plan(ROOT, check_configuration({**settings, "model": "bfm09"}), may_list=False)
    assert used.model_files("bfm09") == [str(tmp_path / "std_exp.txt")]


def test_folder_of_the_repository_is_found_from_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = Plan(ROOT, check_configuration({"photos": {}}), may_list=False)
    assert plan.model_folder("bfm09") == str(ROOT / "resources/licensed/bfm09")
    (tmp_path / "resources/licensed/bfm09").mkdir(parents=True)
    assert plan.model_folder("bfm09") == "resources/licensed/bfm09"
