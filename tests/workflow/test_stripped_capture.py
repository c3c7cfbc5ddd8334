"""A capture stripped of its cameras: the workflow calibrates the photographs, and the mesh is the same."""

import csv
import json
import shutil

import numpy as np
import pytest

from facemill.formats.base_meshes import read_base_mesh
from facemill.formats.captures import read_capture_file
from facemill.geometry.similarity import fit_similarity
from facemill.models.head import load_head
from facemill.multiview.uv_atlas import bare_face
from workflow.running import ROOT, run_snakemake

RESULTS = "results/walk"
MADE = f"{RESULTS}/synthesis/captures/made/synthesize_captures/imgs/0"
VIEWS = 10
NAMES = ("known", "stripped")


def configuration(captures: dict) -> dict:
    made = {"split": "test", "identities": 1, "difficulty": "hard", "views": VIEWS}
    return {"run": "walk", "photos": {}, "captures": captures, "synthesis": {"captures": {"made": made}}}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a run of one capture twice: with its cameras, and its photographs alone."""
    folder = tmp_path_factory.mktemp("walk")
    run = run_snakemake(folder, configuration({}), MADE, timeout=1800)
    assert run.code == 0, run.output
    (folder / "photos").mkdir()
    for photo in (folder / MADE / "1_neutral").glob("*.jpg"):
        shutil.copy(photo, folder / "photos")
    captures = {
        "known": {"folder": str(folder / MADE / "1_neutral"), "unit_mm": 1.0, "surface": False},
        "stripped": {"folder": str(folder / "photos"), "surface": False},
    }
    run = run_snakemake(folder, configuration(captures), f"{RESULTS}/multiview/captures.csv", timeout=3600)
    assert run.code == 0, run.output
    assert run.jobs["calibrate_capture"] == 1
    yield folder / RESULTS / "multiview"
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def rows(finished):
    with (finished / "captures.csv").open(encoding="utf-8") as file:
        return {row["capture"]: row for row in csv.DictReader(file)}


@pytest.mark.slow
def test_every_photo_is_registered_to_less_than_a_pixel(finished, rows):
    told = json.loads((finished / "stripped/calibrate_capture/report.json").read_text())
    print(f"registered {told['registered']} of {VIEWS}, {told['reprojection_px']:.2f} px rms")
    assert told["registered"] == told["photos"] == VIEWS
    assert told["reprojection_px"] <= 1.0
    assert max(view["reprojection_px"] for view in told["views"].values()) <= 1.5
    assert [rows[name]["status"] for name in NAMES] == ["ok", "ok"]


@pytest.mark.slow
def test_the_base_mesh_is_that_of_the_calibrated_capture(finished):
    meshes = {
        name: read_base_mesh(
            finished / f"fit_base_mesh/{name}.npz", finished / f"fit_base_mesh/{name}.json", name
        ).mesh.vertices
        for name in NAMES
    }
    face = bare_face(load_head(ROOT / "resources/models/head.npz").topology).numpy()
    known, stripped = (meshes[name][face] for name in NAMES)
    aligned = fit_similarity(stripped, known, with_scale=True).apply(stripped)
    errors = np.linalg.norm(aligned - known, axis=1)
    print("same vertices apart, mm: median {:.2f}, 95 % {:.2f}".format(*np.percentile(errors, [50, 95])))
    assert np.median(errors) <= 0.5 and np.percentile(errors, 95) < 2.0


@pytest.mark.slow
def test_the_unit_is_told_with_its_uncertainty(finished, rows):
    known, stripped = (
        np.array(
            [
                view.camera.centre.numpy()
                for view in sorted(
                    read_capture_file(finished / f"{name}/prepare_capture/capture.json").views,
                    key=lambda view: int(view.name),
                )
            ]
        )
        for name in NAMES
    )
    true = fit_similarity(stripped, known, with_scale=True).scale  # mm of a unit of the world found
    row = rows["stripped"]
    error, deviation = float(row["unit_mm"]) / true - 1, float(row["unit_deviation"])
    print(f"unit {error:+.1%} off, told ± {deviation:.1%}")
    assert row["unit_source"] == "model" and rows["known"]["unit_source"] == "unit_mm"
    assert 0.01 < deviation < 0.06 and abs(error) < 3 * deviation
