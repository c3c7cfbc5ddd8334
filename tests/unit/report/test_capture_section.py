"""Captures in the report: a table with reasons, pictures, figures against scans, 3-D views."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from facemill.formats.meshes import write_glb
from facemill.report.capture_inputs import read_captures
from facemill.report.inputs import read_inputs
from facemill.report.page import render_report
from facemill.report.settings import ReportSettings
from facemill.runtime.errors import FormatError
from unit.report.small_run import HOSTILE_REASON, bump
from unit.report.test_report_page import Reader

MEASURED = {
    "status": "ok",
    "reason": "",
    "accuracy": {"median": 0.514, "p95": 2.06},
    "completeness": {"median": 0.61, "p95": 2.5},
    "aligned": {"accuracy": {"median": 0.4, "p95": 1.9}},
}


def make_captures(results: Path) -> tuple[Path, list[Path]]:
    """Three captures: `study-1` with a scan, `me` without, `walk` that could not go on."""
    place = results / "multiview"
    rows = [
        {"capture": "study-1", "person": "study", "status": "ok", "unit_mm": "1.0", "unit_source": "given"}
        | {"landmark_px": "2.341", "deviation_mm": "0.4"},
        {"capture": "me", "person": "me", "status": "ok", "unit_mm": "", "unit_source": "unknown"},
        {"capture": "walk", "person": "walk", "status": "no_face", "reason": HOSTILE_REASON},
    ]
    for row in rows:
        row.setdefault("reason", "")
        row |= {"views": "10", "views_used": "9"}
        folder = place / row["capture"]
        folder.mkdir(parents=True)
        for name, size in (("overlays", (2400, 900)), ("geometry", (1500, 300)), ("uv_maps", (900, 600))):
            Image.new("RGB", size, (180, 120, 90)).save(folder / f"{name}.png")
        write_glb(folder / "base_mesh.glb", bump(height=20.0), np.zeros((8, 8, 3), np.uint8))
    summary = place / "study-1" / "evaluate_base_mesh" / "result.json"
    summary.parent.mkdir()
    summary.write_text(json.dumps(MEASURED))
    Image.new("RGB", (840, 480), (90, 120, 90)).save(summary.parent / "heat_map.png")
    pd.DataFrame(rows).fillna("").to_csv(place / "captures.csv", index=False)
    return place / "captures.csv", [summary]


def page_of(results: Path, made=None, **settings) -> str:
    table, evaluations = made or make_captures(results)
    captures = read_captures([table, *evaluations])
    inputs = read_inputs("r", results, results / "benchmarks", {}, captures=captures)
    return render_report(inputs, ReportSettings(**settings))


def texts_of(page: str) -> list[str]:
    return [value for value in Reader(page).texts if value]


def test_the_table_says_what_became_of_each(tmp_path):
    texts = texts_of(page_of(tmp_path))
    start = texts.index("state") + 1
    assert texts[start : start + 7] == [
        *("study-1", "study", "9 of 10", "1 mm (given)"),
        *("0.51 / 2.06 mm", "0.61 / 2.50 mm", "ok"),
    ]
    assert f"no_face: {HOSTILE_REASON}" in texts


def test_names_are_escaped_and_the_run_needs_no_photos(tmp_path):
    page = page_of(tmp_path)
    assert "</script><script>alert" not in page
    assert "without a face" not in texts_of(page)


def test_each_mesh_is_shown_on_its_views_in_3d_and_against_its_scan(tmp_path):
    reader = Reader(page_of(tmp_path))
    described = [image["alt"] for image in reader.all("img")]
    assert sum("base mesh on all views" in words for words in described) == 2
    assert sum("distance to the scan" in words for words in described) == 1
    assert sum("data-mesh" in figure for figure in reader.all("figure")) == 2
    texts = [value for value in reader.texts if value]
    assert texts[texts.index("mesh to scan, aligned") + 1] == "0.40 / 1.90 mm"
    assert texts[texts.index("landmarks off by") + 1] == "2.34 px"
    assert texts.count("expected error") == 1 and "calibration, rms" not in texts
    assert "data-mesh" not in page_of(tmp_path / "again", viewers=False)


def test_a_capture_that_could_not_be_measured_says_why(tmp_path):
    table, evaluations = make_captures(tmp_path)
    evaluations[0].write_text(json.dumps({"status": "bad_scan", "reason": "scan.ply is damaged"}))
    texts = texts_of(page_of(tmp_path, (table, evaluations)))
    assert texts[texts.index("not measured") + 1] == "bad_scan: scan.ply is damaged"
    assert "scan to mesh" not in texts


def test_more_captures_than_are_shown_are_counted(tmp_path):
    page = page_of(tmp_path, max_captures=1)
    assert any("1 more with a base mesh" in text for text in texts_of(page))
    assert sum("data-mesh" in figure for figure in Reader(page).all("figure")) == 1


def test_a_lost_file_costs_its_card_only(tmp_path, caplog):
    made = make_captures(tmp_path)
    (tmp_path / "multiview" / "me" / "base_mesh.glb").write_bytes(b"")
    reader = Reader(page_of(tmp_path, made))
    assert sum("data-mesh" in figure for figure in reader.all("figure")) == 1
    assert "left out of the report" in caplog.text and "me" in reader.texts


def test_a_run_without_captures_has_no_section(tmp_path):
    assert read_captures([]) == ()
    page = render_report(read_inputs("r", tmp_path, tmp_path / "b", {}), ReportSettings())
    assert "unit of its world" not in page


def test_damaged_files_are_named(tmp_path):
    table, evaluations = make_captures(tmp_path)
    evaluations[0].write_text("{")
    with pytest.raises(FormatError, match=r"result\.json cannot be read"):
        read_captures([table, *evaluations])
    pd.DataFrame([{"capture": "x"}]).to_csv(table, index=False)
    with pytest.raises(FormatError, match=r"captures\.csv lacks the columns person"):
        read_captures([table])
