"""Surfaces of captures in the report: figures, costs, pictures, a 3-D view that is small enough."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from facemill.formats.meshes import write_glb
from facemill.geometry.mesh import Mesh
from facemill.report import surface_section
from facemill.report.capture_inputs import read_captures
from facemill.report.inputs import read_inputs
from facemill.report.page import render_report
from facemill.report.settings import ReportSettings
from facemill.report.surface_inputs import read_surfaces
from facemill.report.surface_section import viewer_mesh
from facemill.runtime.errors import FormatError
from unit.report.small_run import HOSTILE_REASON, bump
from unit.report.test_capture_section import make_captures, texts_of
from unit.report.test_report_page import Reader

HOSTILE_NAME = '"><img src=x onerror=alert(1)>'


def stage(coverage: float, median: float, p90: float) -> dict:
    distances = {"median": median, "p90": p90, "within": {"0.1": 0.5, "0.5": 0.875}}
    return {
        "coverage": coverage,
        "completeness": distances,
        "accuracy": {"median": 2 * median, "p90": 2 * p90},
        "normal_error": {"mean": 3.25, "median": 2.5},
    }


MEASURED = {
    "protocol": "surface_stages",
    "status": "ok",
    "reason": "",
    "stages": {
        "regularized": stage(1.0, 0.05, 0.25),
        "base": stage(1.0, 0.07, 0.5),
        "classical": stage(0.75, 0.06, 0.375),
        HOSTILE_NAME: {"coverage": 0.0, "completeness": None, "accuracy": None, "normal_error": None},
    },
    "missing": {"implicit": HOSTILE_REASON},
}


def make_surfaces(results: Path) -> list[Path]:
    """`study-1` with a surface, a scan and costs; `me` with a surface only; `walk` without."""
    table, evaluations = make_captures(results)
    rows = pd.read_csv(table, dtype=str, keep_default_na=False)
    rows["surface_status"] = ["ok", "ok", "no_face"]
    rows["surface_reason"] = ["", "", HOSTILE_REASON]
    rows["surface_known"] = ["0.8125", "0.5", ""]
    rows.to_csv(table, index=False)
    for name in ("study-1", "me"):
        folder = table.parent / name
        Image.new("RGB", (64, 64), (200, 150, 120)).save(folder / "texture.png")
        Image.new("RGB", (312, 332), (90, 90, 90)).save(folder / "surface_stages.png")
        write_glb(folder / "mesh.glb", bump(height=25.0), np.zeros((8, 8, 3), np.uint8))
    summary = table.parent / "study-1" / "evaluate_surface" / "result.json"
    summary.parent.mkdir()
    summary.write_text(json.dumps(MEASURED))
    Image.new("RGB", (850, 390), (30, 50, 130)).save(summary.parent / "heat_maps.png")
    costs = {"match_surface/study-1": "61.5\t87.8\t900.4", "fit_base_mesh/study": "14\t20\t-"}
    for place, numbers in costs.items():
        path = results / "benchmarks" / f"{place}.tsv"
        path.parent.mkdir(parents=True)
        path.write_text("s\tcpu_time\tmax_rss\n" + numbers + "\n")
    return [table, *evaluations, summary]


def page_of(results: Path, files=None, **settings) -> str:
    made = files or make_surfaces(results)
    captures = read_captures(made)
    surfaces = read_surfaces(captures, made, results / "benchmarks")
    inputs = read_inputs("r", results, results / "benchmarks", {}, captures=captures, surfaces=surfaces)
    return render_report(inputs, ReportSettings(**settings))


def section_of(page: str) -> list[str]:
    texts = texts_of(page)
    return texts[texts.index("Surfaces of captures") :]


def test_stages_stand_in_their_order_with_their_figures(tmp_path):
    texts = section_of(page_of(tmp_path))
    start = texts.index("normals, mean / median") + 1
    assert texts[start : start + 7] == [
        *("base", "100.0 %", "0.070 / 0.500 mm", "50.0 %", "87.5 %"),
        *("0.140 / 1.000 mm", "3.25 / 2.50\N{DEGREE SIGN}"),
    ]
    assert texts[start + 7 : start + 9] == ["classical", "75.0 %"]
    assert texts[start + 14 : start + 16] == ["implicit", HOSTILE_REASON]
    assert texts[start + 16] == "regularized"
    assert HOSTILE_NAME in texts


def test_costs_are_those_of_the_capture_and_of_its_person(tmp_path):
    texts = section_of(page_of(tmp_path))
    start = texts.index("memory, most") + 1
    assert texts[start : start + 7] == [
        *("fit_base_mesh", "14.0 s", "20.0 s"),
        *("match_surface", "1 min 02 s", "2 min 00 s", "900 MiB"),
    ]
    assert texts[texts.index("photos to mesh") + 1] == "1 min 16 s"
    assert texts[texts.index("measured in the photos") + 1] == "81.2 % of the face"


def test_pictures_and_views_and_why_there_are_none(tmp_path):
    page = page_of(tmp_path)
    described = [image["alt"] for image in Reader(page).all("img")]
    assert sum("texture blended" in words for words in described) == 2
    assert sum("regularised and displaced" in words for words in described) == 2
    assert sum("scan to each stage" in words for words in described) == 1
    assert sum("data-mesh" in figure for figure in Reader(page).all("figure")) == 4  # and the base meshes
    assert f"Without a surface: walk: no_face: {HOSTILE_REASON}" in texts_of(page)


def test_names_are_escaped(tmp_path):
    page = page_of(tmp_path)
    assert "<img src=x" not in page and "</script><script>alert" not in page


def test_a_lost_file_costs_its_card_only(tmp_path, caplog):
    files = make_surfaces(tmp_path)
    (tmp_path / "multiview" / "me" / "texture.png").unlink()
    described = [image["alt"] for image in Reader(page_of(tmp_path, files)).all("img")]
    assert sum("texture blended" in words for words in described) == 1
    assert "left out of the report" in caplog.text


def test_a_scan_that_could_not_be_used_says_why(tmp_path):
    files = make_surfaces(tmp_path)
    files[-1].write_text(json.dumps({"status": "bad_scan", "reason": "scan.ply is damaged"}))
    texts = section_of(page_of(tmp_path, files))
    assert texts[texts.index("not compared with a scan") + 1] == "bad_scan: scan.ply is damaged"
    assert "normals, mean / median" not in texts


def test_runs_without_surfaces_have_no_section(tmp_path):
    made = make_captures(tmp_path)
    files = [made[0], *made[1]]
    assert read_surfaces(read_captures(files), files, tmp_path) == ()
    assert "Surfaces of captures" not in page_of(tmp_path, files)


def test_a_large_surface_is_made_small_for_the_page(tmp_path, monkeypatch):
    write_glb(tmp_path / "mesh.glb", bump(height=25.0), np.zeros((8, 8, 3), np.uint8))
    whole = viewer_mesh(tmp_path)
    monkeypatch.setattr(surface_section, "VIEWER_TRIANGLES", len(whole.triangles) // 2)
    write_glb(tmp_path / "base_mesh.glb", other_atlas(bump(height=20.0)), np.zeros((8, 8, 3), np.uint8))
    half = viewer_mesh(tmp_path)
    assert 0.8 * len(whole.triangles) // 2 <= len(half.triangles) <= len(whole.triangles) // 2
    assert half.uv is not None and half.uv_triangles.shape == half.triangles.shape
    write_glb(tmp_path / "base_mesh.glb", bump(height=20.0), np.zeros((8, 8, 3), np.uint8))
    sampled = viewer_mesh(tmp_path)  # the base mesh is as fine, so it is decimated, too
    assert len(sampled.triangles) == len(half.triangles)
    (tmp_path / "mesh.glb").unlink()
    with pytest.raises(FormatError):
        viewer_mesh(tmp_path)


def other_atlas(mesh: Mesh) -> Mesh:
    return Mesh(mesh.vertices, mesh.triangles, None, 0.9 * mesh.uv, mesh.uv_triangles)


def test_damaged_files_are_named(tmp_path):
    files = make_surfaces(tmp_path)
    (tmp_path / "benchmarks" / "match_surface" / "study-1.tsv").write_text("hello\n1\n")
    with pytest.raises(FormatError, match=r"study-1\.tsv is no benchmark"):
        page_of(tmp_path, files)
    files[-1].write_text("{")
    with pytest.raises(FormatError, match=r"result\.json cannot be read"):
        page_of(tmp_path, files)
