"""Evaluations in the report."""

import base64
import json

import pandas as pd
import pytest
from PIL import Image

from facemill.report.evaluation_inputs import EvaluationResult, read_evaluations
from facemill.report.evaluation_section import _common, published_rows
from facemill.report.inputs import read_inputs
from facemill.report.page import render_report
from facemill.report.settings import ReportSettings
from facemill.runtime.errors import FormatError
from unit.report.evaluated_run import HOSTILE_CASE, SVG, make_evaluations
from unit.report.test_report_page import Reader


def page_of(folder, origin="synthetic"):
    evaluations = read_evaluations(*make_evaluations(folder / origin, origin))
    inputs = read_inputs("bench", folder, folder / "benchmarks", {}, evaluations=evaluations)
    return render_report(inputs, ReportSettings())


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return page_of(tmp_path_factory.mktemp("run"))


def test_figures_ratios_and_breakdowns(text):
    texts = [value for value in Reader(text).texts if value]
    row = texts[texts.index("mine") :][:8]
    assert row[:3] == ["mine", "ours, coarse", "synthetic data, visible vertices"]
    assert row[3:7] == ["0.960 ± 0.040", "1.400", "1.100", "0.800 ± 0.021"]
    assert row[7] == "6 of 7, 1 missing"
    assert "turn of the head, degrees" in texts and "0.720 ± 0.030" in texts and "0.909 ± 0.040" in texts
    floor = texts[texts.index("floor") :][:8]
    assert floor[1] == "the mean face" and "0.800 ± 0.021" not in floor  # the floor has no ratio to itself
    assert "chamfer mean" in texts and "0.210" in texts and "nme" in texts


def test_curves_and_heat_maps_from_the_best_to_the_worst(text):
    images = Reader(text).all("img")
    curves = [image for image in images if image["src"].startswith("data:image/svg+xml")]
    assert len(curves) == 2
    assert base64.b64decode(curves[0]["src"].partition(",")[2]).decode() == SVG
    names = [image["alt"].rpartition(", ")[2] for image in images if "colours on the scan" in image["alt"]]
    assert names == [*["0_ann_selfie_1", "2_ann_selfie_1", "10_ann_selfie_1"] * 2, "heat_map"]


def test_detail_is_shown_with_its_pictures_and_the_ratios_of_its_groups(tmp_path):
    part = {"distance": {"coarse": 0.12, "fine": 0.09, "ratio": 0.75}}
    groups = {"regions": {"chin": part}, "wrinkles": {"0-0.1 mm": {"distance": {"ratio": 0.987}}}}
    figures = {"protocol": "detail", "origin": "synthetic", "scored": 3, **part, **groups}
    path = tmp_path / "evaluation" / "detail" / "folds.json"
    pictures = path.with_suffix("") / "pictures"
    pictures.mkdir(parents=True)
    path.write_text(json.dumps(figures))
    Image.new("RGB", (40, 10)).save(pictures / "0_ann.png")
    inputs = read_inputs("run", tmp_path, tmp_path / "benchmarks", {}, evaluations=read_evaluations([path]))
    reader = Reader(render_report(inputs, ReportSettings()))
    for words in ("distance ratio", "0.750", "ratio of distances, chin", "0.987"):
        assert words in reader.texts
    assert "regions chin distance ratio" not in reader.texts
    assert any("photo, true skin, coarse, fine, 0_ann" in image["alt"] for image in reader.all("img"))


def test_a_run_that_only_evaluates_has_no_summary_of_photos(text):
    assert 'id="summary"' not in text


def test_names_are_escaped_and_the_page_needs_nothing_else(text):
    reader = Reader(text)
    assert HOSTILE_CASE in reader.texts
    assert not any(tag in ("b", "i") for tag, _ in reader.tags)
    assert "http:" not in text and "https:" not in text


def test_synthetic_figures_never_stand_beside_published_ones(text, tmp_path):
    assert "Beside published figures" not in text and "Deep3DFaceRecon" not in text
    assert "Synthetic data are no benchmark." in text
    original = [value for value in Reader(page_of(tmp_path, "original")).texts if value]
    start = original.index("Beside published figures")
    assert original.index("Deep3DFaceRecon PyTorch") > start
    assert original[start:].index("mine") < original[start:].index("Deep3DFaceRecon PyTorch")  # 0.96 < 1.11


def test_published_rows_hold_only_figures_with_a_counterpart():
    names = ["protocol", "subset", "metric", "method", "split", "unit", "source", "published"]
    rows = [
        ["now", "all", "median", "theirs", "test", "mm", "s", 1.2],
        ["now", "all", "std", "theirs", "test", "mm", "s", 1.3],
        ["now", "all", "median", "synthetic", "", "mm", "s", None],
        ["now", "all", "median", "ours", "", "mm", "s", None],
    ]
    table = pd.DataFrame(rows, columns=names)
    table = table.assign(
        here_original_data=[None, None, None, 1.0], here_synthetic_data=[None, None, 0.5, None]
    )
    table = table.astype({"here_original_data": float, "published": float})
    assert [(row["method"], row["value"], row["ours"]) for row in published_rows(table)] == [
        ("ours", 1.0, True),
        ("theirs", 1.2, False),
    ]
    assert published_rows(table.drop(index=3)) == [] == published_rows(pd.DataFrame())


def test_a_run_without_evaluations_has_no_such_section(tmp_path):
    page = render_report(read_inputs("demo", tmp_path, tmp_path / "benchmarks", {}), ReportSettings())
    assert 'id="evaluation"' not in page and 'id="summary"' in page


def test_damaged_results_are_named(tmp_path):
    paths, _ = make_evaluations(tmp_path)
    paths[0].write_text("{}")
    with pytest.raises(FormatError, match=r"floor\.json"):
        read_evaluations(paths)
    with pytest.raises(FormatError, match=r"nothing\.json"):
        read_evaluations([tmp_path / "nothing.json"])


def test_whose_identity_was_scored_is_said():
    def source(**figures):
        result = EvaluationResult("now", "four", {"origin": "other", **figures}, None, ())
        return _common(result)["source"]

    mean = source(predictions="coarse", identity="subject")
    assert mean == "ours, coarse: mean identity of a subject's photos"
    assert source(predictions="coarse", identity="photo") == "ours, coarse"
    assert source(predictions="/some/where", identity="subject") == "a folder"
