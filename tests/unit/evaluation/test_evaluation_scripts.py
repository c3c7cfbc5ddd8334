"""The scripts of the evaluation rules, run with a stand-in for Snakemake."""

import json
import logging
import runpy
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from facemill.evaluation.floor import COLUMNS as FLOOR_COLUMNS
from facemill.formats.landmarks import write_points_text, write_pts
from facemill.formats.meshes import write_obj
from unit.evaluation.analytic_face import (
    face_grid,
    face_landmarks,
    write_list,
    write_prediction,
    write_subject,
)


@pytest.fixture
def run(repository, tmp_path):
    """Run a script by name; keyword arguments are the attributes of `snakemake`."""
    scripts = repository / "scripts"
    hook, handlers, level = sys.excepthook, logging.root.handlers[:], logging.root.level

    def run_script(name, **attributes):
        groups = {key: SimpleNamespace(**value) for key, value in attributes.items()}
        stand_in = SimpleNamespace(log=[str(tmp_path / "log")], threads=2, **groups)
        runpy.run_path(str(scripts / f"{name}.py"), init_globals={"snakemake": stand_in})

    with warnings.catch_warnings():
        yield run_script
    logging.captureWarnings(False)
    logging.root.handlers[:], sys.excepthook = handlers, hook
    logging.root.setLevel(level)


def test_now_then_comparison(run, repository, tmp_path):
    case = "anna/selfie/a1"
    write_list(tmp_path / "data", [case])
    write_subject(tmp_path / "data", "anna", face_grid(41, 51), face_landmarks())
    write_prediction(tmp_path / "predictions", case, face_grid(31, 41), face_landmarks())
    names = {
        "summary": "a.json",
        "cases": "a_cases.csv",
        "curve": "c.svg",
        "curve_table": "c.csv",
        "heat_maps": "h",
        "histograms": "d.npz",
    }
    published = repository / "resources" / "published"
    run(
        "evaluate_now",
        params={
            "task": {"dataset": str(tmp_path / "data"), "predictions": str(tmp_path / "predictions")},
            "settings": {"heat_maps": 1},
            "published": published,
            "source": "a folder",
        },
        output={key: tmp_path / name for key, name in names.items()},
        wildcards={"name": "mine"},
    )
    assert all((tmp_path / name).exists() for name in names.values())
    run(
        "compare_methods",
        params={
            "names": ["mine"],
            "now_names": ["mine"],
            "settings": {},
            "now_settings": {"draws": 10},
            "published": published,
        },
        input={
            "results": [tmp_path / "a.json"],
            "now_summaries": [tmp_path / "a.json"],
            "now_cases": [tmp_path / "a_cases.csv"],
            "now_histograms": [tmp_path / "d.npz"],
        },
        output={"table": tmp_path / "t.csv", "notes": tmp_path / "t.txt", "floor": tmp_path / "f.csv"},
    )
    assert (tmp_path / "f.csv").read_text() == ",".join(FLOOR_COLUMNS) + "\n"
    table = pd.read_csv(tmp_path / "t.csv")
    assert table["here_other_data"].notna().sum() == 6 and table["published"].notna().sum() == 12
    assert "other than the benchmark" in (tmp_path / "t.txt").read_text()


def test_scan(run, tmp_path):
    mesh = face_grid(31, 37)
    write_obj(tmp_path / "scan.obj", mesh)
    write_obj(tmp_path / "own.obj", mesh.with_vertices(mesh.vertices + np.array([0, 0, 0.3])))
    run(
        "evaluate_scan",
        params={"settings": {"within": [0.1, 1.0]}, "origin": "synthetic"},
        input={"prediction": str(tmp_path / "own.obj"), "scan": str(tmp_path / "scan.obj")},
        output={
            key: tmp_path / name
            for key, name in (("summary", "s.json"), ("curve", "s.svg"), ("heat_map", "s.png"))
        },
        wildcards={"name": "one"},
    )
    assert list(json.loads((tmp_path / "s.json").read_text())["within"]) == ["0.1", "1"]


def test_landmarks(run, tmp_path):
    points = np.random.default_rng(0).uniform(50, 150, (68, 2))
    write_pts(tmp_path / "truth" / "a.pts", points)
    write_points_text(tmp_path / "coarse" / "a" / "landmarks68.txt", points)
    run(
        "evaluate_landmarks",
        params={
            "task": {"folder": str(tmp_path / "truth"), "predictions": str(tmp_path / "coarse")},
            "settings": {},
            "source": "a folder",
        },
        output={"summary": tmp_path / "l.json", "faces": tmp_path / "l.csv"},
    )
    assert json.loads((tmp_path / "l.json").read_text())["nme"] == pytest.approx(0, abs=1e-4)
