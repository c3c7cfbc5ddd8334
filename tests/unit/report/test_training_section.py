"""A training in the report: its course, first and last figures, faces."""

import base64
import re

import pandas as pd
import pytest

from facemill.report.inputs import read_inputs
from facemill.report.page import render_report
from facemill.report.settings import ReportSettings
from facemill.report.training_curve import BOTTOM, LEFT, RIGHT, TOP, course_svg
from facemill.report.training_inputs import read_trainings
from facemill.runtime.errors import FormatError
from unit.report.test_report_page import Reader
from unit.report.trained_run import ROWS, make_training

CONFIGURATION = {"train_coarse": {"train": ["<b>faces</b>"], "start": "some/weights.safetensors"}}


def page_of(folder, **options):
    trainings = read_trainings(make_training(folder / "train_coarse", **options))
    inputs = read_inputs("r", folder, folder / "benchmarks", CONFIGURATION, trainings=trainings)
    return render_report(inputs, ReportSettings())


def shown(text):
    return [value for value in Reader(text).texts if value]


def points_of(svg):
    found = re.search(r'<polyline points="([^"]+)"', svg)[1]
    return [tuple(map(float, pair.split(","))) for pair in found.split()]


def test_first_and_last_figures_counts_and_origin(tmp_path):
    texts = shown(page_of(tmp_path))
    at = texts.index("loss, weighted sum")
    assert texts[at + 1 : at + 4] == ["2.50", "1.25", "colours, distance 0..1"]
    at = texts.index("landmark error, % of the eye distance")
    assert texts[at + 1 : at + 4] == [
        "6.25",
        "3.12",
        "training: loss and unweighted terms of one batch, steps 1 and 2",
    ]
    assert texts[texts.index("images trained on") + 1] == "1,234"
    assert texts[texts.index("validated on") + 1] == "56"
    assert "some/weights.safetensors" in texts


def test_curves_of_the_loss_the_colours_and_each_validation_measure(tmp_path):
    images = Reader(page_of(tmp_path)).all("img")
    curves = [image for image in images if image["src"].startswith("data:image/svg+xml")]
    assert [image["alt"].partition(",")[0] for image in curves] == ["loss", "colours", "landmark error"]
    svg = base64.b64decode(curves[2]["src"].partition(",")[2]).decode()
    assert len(points_of(svg)) == svg.count("<circle") == 2
    assert sum("bare shape" in image["alt"] for image in images) == 1


def test_names_are_escaped_and_the_page_needs_nothing_else(tmp_path):
    text = page_of(tmp_path)
    reader = Reader(text)
    assert "new <i>term</i>" in reader.texts and any("<b>faces</b>" in found for found in reader.texts)
    assert not any(tag in ("b", "i") for tag, _ in reader.tags)
    assert "http:" not in text and "https:" not in text


def test_validation_on_training_images_is_told(tmp_path):
    assert any("trained on too" in found for found in shown(page_of(tmp_path / "seen")))
    assert not any("trained on too" in found for found in shown(page_of(tmp_path / "apart", seen=False)))


def test_a_run_without_training_has_no_section(tmp_path):
    inputs = read_inputs("r", tmp_path, tmp_path / "benchmarks", {}, trainings=read_trainings([]))
    assert 'id="training"' not in render_report(inputs, ReportSettings())
    text = page_of(tmp_path)
    assert 'id="training"' in text and 'id="summary"' not in text  # no photos, so no counts of photos


def test_values_land_where_the_axes_say():
    svg = course_svg(pd.Series([4.0, 3.0, 2.0], index=[0, 5, 10]), "a < b")
    assert points_of(svg) == [
        (LEFT, TOP),
        ((LEFT + RIGHT) / 2, pytest.approx(BOTTOM - 0.75 * (BOTTOM - TOP), abs=0.06)),
        (RIGHT, (BOTTOM + TOP) / 2),
    ]
    assert "a &lt; b" in svg


def test_values_below_zero_stay_inside():
    svg = course_svg(pd.Series([3.0, -2.6], index=[1, 2]), "surprise")
    assert all(TOP <= down <= BOTTOM for _, down in points_of(svg))
    assert ">-4<" in svg and ">0<" in svg  # gaps of 2


@pytest.mark.parametrize("value", [0.0, 5.0, -1e-12, 1e9])
def test_one_value_is_a_dot(value):
    svg = course_svg(pd.Series([value], index=[0]), "one")
    assert svg.count("<circle") == 1 and "nan" not in svg
    assert all(TOP <= down <= BOTTOM for _, down in points_of(svg))


def test_long_courses_are_thinned_to_means_of_neighbours():
    svg = course_svg(pd.Series(range(1, 9001), index=range(1, 9001), dtype=float), "long")
    points = points_of(svg)
    assert len(points) == 300
    heights = [down for _, down in points]
    assert heights == sorted(heights, reverse=True)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("metrics.csv", "a,b\n1,2\n", "rows with step and kind"),
        ("metrics.csv", "", "a table of steps"),
        ("metrics.csv", ROWS.splitlines()[0] + "\n", "0 rows"),
        ("summary.json", "{", "summary.json cannot be read as JSON"),
        ("summary.json", '{"steps": 2}', "lacks images"),
    ],
)
def test_damaged_files_are_named(tmp_path, name, content, message):
    files = make_training(tmp_path / "training")
    (tmp_path / "training" / name).write_text(content)
    with pytest.raises(FormatError, match=message):
        read_trainings(files)


def test_a_missing_file_is_named(tmp_path):
    files = make_training(tmp_path / "training")
    with pytest.raises(FormatError, match=r"no faces\.png"):
        read_trainings(files[:2])


def test_several_trainings_are_told_apart(tmp_path):
    files = make_training(tmp_path / "train_coarse") + make_training(tmp_path / "train_detail", seen=False)
    inputs = read_inputs("r", tmp_path, tmp_path / "benchmarks", {}, trainings=read_trainings(files))
    page = render_report(inputs, ReportSettings())
    texts = shown(page)
    assert texts.index("Coarse network") < texts.index("Detail network")
    assert texts.count("images trained on") == 2
    described = [image["alt"] for image in Reader(page).all("img")]
    assert sum("bare shape" in words for words in described) == 1
    assert sum("true relief, relief found" in words for words in described) == 1
    assert len(re.findall(r"images that are trained on too", page)) == 1
