"""Captures in FaceScape's files with FaceScape's bilinear model (stand-ins), from photos to the report."""

import csv
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from facemill.formats.facescape import read_capture, write_capture_parameters
from facemill.formats.meshes import read_glb, read_mesh, read_obj, write_mesh
from facemill.geometry.camera import Camera
from facemill.runtime.files import load_arrays
from stand_ins.facescape import write_facescape_model
from workflow.running import ROOT, run_snakemake

sys.path.insert(0, str(ROOT / "workflow"))

from planning import Plan

from facemill.configuration import check_configuration

PERSON = 440  # of the split `test`
UNIT = 4.0  # millimetres per unit of the world that FaceScape's files get here
VIEWS = 6


def synthesis() -> dict:
    task = {"split": "test", "first": 44, "identities": 1, "views": VIEWS, "level": 0}
    return {"captures": {"made": {**task, "width": 288, "height": 432}}}


def write_facescape_files(made: Path, folder: Path) -> dict:
    """imgs, mesh and the JSON files as FaceScape and MVFR hand them out, in units of 4 mm; the entry."""
    expression = f"imgs/{PERSON}/1_neutral"
    shutil.copytree(made / expression, folder / expression)
    views = []
    for view in read_capture(made / expression):
        camera = view.camera
        shrunk = Camera(camera.rotation, camera.translation / UNIT, camera.intrinsics)
        views.append(type(view)(view.number, view.file, shrunk, view.lens, view.size, view.valid))
    write_capture_parameters(folder / expression, views)
    mesh = read_mesh(made / f"mesh/{PERSON}/1_neutral.ply")
    (folder / f"mesh/{PERSON}").mkdir(parents=True)
    write_mesh(folder / f"mesh/{PERSON}/1_neutral.ply", mesh.with_vertices(mesh.vertices / UNIT))
    tables = {
        "scales": {str(PERSON): {"1": [UNIT, np.eye(3, 4).tolist()]}},
        "select": {str(PERSON): {"1": [view.number for view in views]}},
        "ids": {"train": ["001_01"], "eval": [f"{PERSON}_01"]},
    }
    names = {"scales": "Rt_scale_dict.json", "select": "select_dict.json", "ids": "id.json"}
    for key, name in names.items():
        (folder / name).write_text(json.dumps(tables[key]))
    paths = {key: str(folder / name) for key, name in names.items()}
    return {"folder": str(folder / "imgs"), "meshes": str(folder / "mesh"), "split": "eval", **paths}


def configuration(folder: Path, captures: dict) -> dict:
    return {
        "run": "chain",
        "model": "facescape",
        "convert_facescape": {"folder": str(folder / "model")},
        "photos": {},
        "captures": captures,
        "synthesis": synthesis(),
        "export_base_mesh": {"texture_size": 256, "tile_height": 180, "geometry_side": 160},
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("captures")
    write_facescape_model(folder / "model")
    made = "results/chain/synthesis/captures/made/synthesize_captures"
    run = run_snakemake(folder, configuration(folder, {}), f"{made}/imgs/{PERSON}", timeout=1800)
    assert run.code == 0, run.output
    entry = write_facescape_files(folder / made, folder / "facescape")
    run = run_snakemake(folder, configuration(folder, {"many": entry}), timeout=3600)
    yield folder, run, entry
    shutil.rmtree(folder)


@pytest.mark.slow
def test_facescape_files_become_a_measured_base_mesh(finished):
    folder, run, _ = finished
    assert run.code == 0, run.output
    assert run.jobs["convert_facescape"] == run.jobs["evaluate_base_mesh"] == run.jobs["build_uv_maps"] == 1
    place = folder / "results/chain/multiview"
    with (place / "captures.csv").open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    name = row["capture"]
    assert (row["status"], row["views"], float(row["unit_mm"])) == ("ok", str(VIEWS), UNIT)
    result = json.loads((place / name / "evaluate_base_mesh/result.json").read_text())
    assert result["status"] == "ok" and result["accuracy"]["median"] < 3.0, result
    obj, glb = read_obj(place / name / "base_mesh.obj"), read_glb(place / name / "base_mesh.glb")
    assert len(obj.vertices) == 2500 and obj.uv is not None and glb.texture is not None
    # the OBJ is in millimetres of the world: the scan, in its own unit, lies there times 4
    scan = read_mesh(folder / f"facescape/mesh/{PERSON}/1_neutral.ply").vertices * UNIT
    assert np.linalg.norm(obj.vertices.mean(axis=0) - scan.mean(axis=0)) < 60
    assert (folder / "results/chain/report.html").stat().st_size > 100_000


@pytest.mark.slow
def test_maps_have_facescapes_window(finished):
    folder, _, _ = finished
    (path,) = (folder / "results/chain/multiview").glob("*/uv_maps.npz")
    arrays = load_arrays(path)
    assert arrays["facescape_position"].shape == (256, 256, 3) and arrays["visibility"].shape[2] == VIEWS
    known = np.isfinite(arrays["displacement"]) & arrays["face"]
    assert known.sum() > 0.8 * arrays["face"].sum()
    assert np.median(np.abs(arrays["displacement"][known])) < 3.0


@pytest.mark.slow
def test_a_second_call_has_nothing_to_do(finished):
    folder, _, entry = finished
    again = run_snakemake(folder, configuration(folder, {"many": entry}), "--dry-run")
    assert again.code == 0 and "Nothing to be done" in again.output


def capture_folder(folder: Path, scan: bool) -> dict:
    """An entry for one capture of FaceScape's layout whose photos nobody opens here."""
    folder.mkdir()
    keys = {"K": np.eye(3).tolist(), "Rt": np.eye(3, 4).tolist(), "distortion": [0] * 5}
    values = {**keys, "width": 8, "height": 8, "valid": True}
    table = {f"{number}_{key}": value for number in (0, 1) for key, value in values.items()}
    (folder / "params.json").write_text(json.dumps(table))
    for number in (0, 1):
        (folder / f"{number}.jpg").write_bytes(b"")
    (folder / "scan.ply").write_bytes(b"")
    entry = {"folder": str(folder), "unit_mm": 1.0}
    return entry | ({"scan": str(folder / "scan.ply")} if scan else {})


def test_without_a_scan_everything_but_the_evaluation_runs(tmp_path):
    captures = {
        "plain": capture_folder(tmp_path / "plain", scan=False),
        "scanned": capture_folder(tmp_path / "scanned", scan=True),
    }
    run = run_snakemake(tmp_path, {"run": "x", "photos": {}, "captures": captures}, "--dry-run")
    assert run.code == 0, run.output
    twice = ("prepare_capture", "triangulate_landmarks", "fit_base_mesh", "export_base_mesh", "build_uv_maps")
    assert {name: run.jobs[name] for name in twice} == dict.fromkeys(twice, 2)
    assert run.jobs["evaluate_base_mesh"] == 1 and run.jobs["tabulate_captures"] == 1


def test_maps_ask_for_the_fit_of_the_person_whom_the_capture_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one, two = (capture_folder(tmp_path / name, scan=False) for name in ("a", "b"))
    captures = {"one": {**one, "person": "ann"}, "two": {**two, "person": "ann"}}
    values = {"run": "x", "photos": {}, "captures": captures}
    plan = Plan(ROOT, check_configuration(values), may_list=True)
    assert plan.fit_of("two", "npz") == "results/x/multiview/fit_base_mesh/ann.npz"
    assert plan.capture_evaluations == []
    assert f"{plan.results}/multiview/two/uv_maps.npz" in plan.capture_results


def test_plan_knows_where_the_facescape_model_comes_from():
    plan = Plan(ROOT, check_configuration({"model": "facescape", "photos": {}}), may_list=False)
    assert plan.model_source == "results/demo/convert_facescape/model.npz"
    assert plan.whole_head == "results/demo/models/facescape.npz"
