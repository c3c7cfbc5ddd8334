"""The detail layer in the report: pictures, figures, faces without it, more than are shown."""

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from facemill.report.detail_inputs import read_detail
from facemill.report.inputs import read_inputs
from facemill.report.page import render_report
from facemill.report.settings import ReportSettings
from facemill.runtime.errors import FormatError
from facemill.runtime.tables import write_table
from unit.report.small_run import HOSTILE, HOSTILE_REASON
from unit.report.test_report_page import Reader


def make_detail(results: Path) -> Path:
    """One set: a face with a hostile name, another, one that got no detail, a photo without a face."""
    place = results / "detail" / "mine"
    rows = [
        {"photo": HOSTILE, "detail_rms": 0.0813, "detail_share": 0.614, "landmark_error": 0.02},
        {"photo": "two", "detail_rms": 0.05, "detail_share": 0.5, "landmark_error": 0.02},
        {"photo": "lost", "status": "no_weights", "reason": HOSTILE_REASON, "landmark_error": 0.02},
        {"photo": "wall", "status": "no_face", "reason": "found no face"},
    ]
    for number, row in enumerate(rows):
        row.setdefault("status", "ok")
        row.setdefault("reason", "")
        row["folder"] = str(place / f"face{number}") if row["status"] == "ok" else ""
        if row["folder"]:
            (place / f"face{number}").mkdir(parents=True)
            Image.new("RGB", (800, 400), (90, 90, 90)).save(place / f"face{number}" / "geometry.png")
    Image.new("RGB", (1200, 300), (90, 90, 90)).save(place / "face0" / "expressions.png")
    write_table(place / "export_detail" / "0000.parquet", pd.DataFrame(rows))
    return place / "export_detail" / "0000.parquet"


def page_of(results: Path, table: Path, **settings) -> str:
    inputs = read_inputs("r", results, results / "benchmarks", {}, detail=read_detail([table]))
    return render_report(inputs, ReportSettings(**settings))


def test_faces_show_pictures_and_figures_and_names_are_escaped(tmp_path):
    page = page_of(tmp_path, make_detail(tmp_path))
    assert "<img src=x" not in page and "</script><script>alert" not in page
    reader = Reader(page)
    texts = [value for value in reader.texts if value]
    assert texts[texts.index("depth of the detail, rms") + 1] == "0.081 mm"
    assert texts[texts.index("face with evidence") + 1] == "61 %"
    described = [image["alt"] for image in reader.all("img")]
    assert sum("surface without and with detail" in words for words in described) == 2
    assert sum("under other expressions" in words for words in described) == 1


def test_a_face_without_detail_says_why_and_a_photo_without_a_face_does_not(tmp_path):
    texts = Reader(page_of(tmp_path, make_detail(tmp_path))).texts
    assert any(text == f"Without detail: lost: {HOSTILE_REASON}" for text in texts)
    assert not any("wall" in text for text in texts)


def test_more_faces_than_are_shown_are_counted(tmp_path):
    texts = Reader(page_of(tmp_path, make_detail(tmp_path), max_faces=1)).texts
    assert any("1 more in the set mine" in text for text in texts)


def test_a_lost_picture_costs_its_face_only(tmp_path, caplog):
    table = make_detail(tmp_path)
    (tmp_path / "detail" / "mine" / "face1" / "geometry.png").unlink()
    texts = Reader(page_of(tmp_path, table)).texts
    assert "two" not in texts and HOSTILE in texts
    assert "left out of the report" in caplog.text


def test_a_table_without_its_columns_is_named(tmp_path):
    table = make_detail(tmp_path)
    write_table(table, pd.DataFrame([{"photo": "one"}]))
    with pytest.raises(FormatError, match=r"0000\.parquet lacks the columns status"):
        read_detail([table])
