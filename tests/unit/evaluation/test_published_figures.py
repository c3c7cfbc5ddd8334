"""Published figures, our own beside them, curves, heat maps and the files of the NoW evaluation."""

import json
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from facemill.evaluation.curves import cumulative_curve, curve_svg
from facemill.evaluation.heat_maps import STOPS, distance_colors, heat_map
from facemill.evaluation.histograms import read_histograms
from facemill.evaluation.now import CaseScore, evaluate_now
from facemill.evaluation.now_output import chosen_cases, write_now
from facemill.evaluation.published import (
    COMPARISON_COLUMNS,
    compare_methods,
    comparison_notes,
    now_medians,
    read_published,
)
from facemill.evaluation.settings import CompareSettings, NowSettings, NowTask
from facemill.formats.now import NowCase
from facemill.runtime.errors import FormatError
from unit.evaluation.analytic_face import (
    face_grid,
    face_landmarks,
    write_list,
    write_prediction,
    write_subject,
)

OURS = "mine"


@pytest.fixture
def published(repository):
    return read_published(repository / "resources" / "published")


def result(path, origin, protocol="now", median=1.5):
    group = {"median": median, "mean": 1.9, "std": 1.2}
    path.write_text(
        json.dumps({**group, "challenges": {"selfie": group}, "protocol": protocol, "origin": origin})
    )
    return path


def test_published_values_are_those_of_the_sources(published):
    now = published.query("protocol == 'now' and method == 'Deep3DFaceRecon' and variant == 'PyTorch'")
    assert dict(zip(now["metric"], now["value"], strict=True)) == {"median": 1.11, "mean": 1.41, "std": 1.21}
    assert now_medians(published) == [
        ("Deep3DFaceRecon PyTorch", 1.11),
        ("Deep3DFaceRecon TensorFlow", 1.23),
        ("MGCNet", 1.31),
    ]
    bins = published.query("dataset == 'AFLW2000-3D'").set_index("subset")["value"]
    assert bins["balanced"] == pytest.approx(bins.drop("balanced").mean(), abs=0.005)
    chamfer = published.query("dataset == 'FaceScape' and metric == 'chamfer_distance' and split == 'wild'")
    bins = chamfer.pivot(index="method", columns="subset", values="value")
    full = bins.drop(index="UDL")  # whose bins are of unequal size, since it failed on 52 images
    assert (full.drop(columns="all").mean(axis=1) - full["all"]).abs().max() < 0.01
    assert published["source"].str.len().min() > 10


@pytest.mark.parametrize(
    ("origin", "column"),
    [
        ("original", "here_original_data"),
        ("synthetic", "here_synthetic_data"),
        ("other", "here_other_data"),
    ],
)
def test_our_figures_stand_in_the_column_of_their_data(tmp_path, published, origin, column):
    table = compare_methods({OURS: result(tmp_path / "a.json", origin)}, published, CompareSettings())
    assert tuple(table.columns) == COMPARISON_COLUMNS
    ours = table[table["method"] == OURS]
    theirs = table[table["method"] != OURS]
    numbers = list(COMPARISON_COLUMNS[7:11])
    assert len(ours) == 6 and ours["published"].isna().all()
    assert ours[column].notna().all() and ours[numbers].notna().sum().sum() == 6
    assert theirs["published"].notna().all() and theirs[numbers].notna().sum().sum() == len(theirs) == 12
    assert set(table["protocol"]) == {"now"}
    assert ours["source"].str.contains(origin).all()
    assert comparison_notes(table)


def test_metrical_and_landmark_results_are_not_mixed_with_now(tmp_path, published):
    nme = {"protocol": "landmarks", "origin": "other", "nme": 4.0, "balanced_nme": None}
    nme["yaw"] = {"0-30": {"nme": 3.0, "faces": 2}, "30-60": {"nme": None, "faces": 0}}
    (tmp_path / "l.json").write_text(json.dumps(nme))
    files = {OURS: result(tmp_path / "m.json", "other", "now_metrical"), "l": tmp_path / "l.json"}
    table = compare_methods(files, published, CompareSettings())
    assert set(table["protocol"]) == {"now_metrical", "landmarks"}
    ours = table[table["method"].isin(files)].set_index(["protocol", "subset", "metric"])["here_other_data"]
    assert ours[("landmarks", "yaw 0-30", "nme")] == 3.0 and ours[("landmarks", "all", "nme")] == 4.0
    assert ("landmarks", "balanced", "nme") not in ours.index


def test_a_scan_result_is_listed(tmp_path, published):
    scan = {"protocol": "scan", "origin": "other", "chamfer": {"mean": 0.3, "median": 0.2, "p90": 0.7}}
    (tmp_path / "s.json").write_text(json.dumps(scan))
    table = compare_methods({"s": tmp_path / "s.json"}, published, CompareSettings())
    assert dict(zip(table["metric"], table["here_other_data"], strict=True)) == {
        "chamfer_mean": 0.3,
        "chamfer_median": 0.2,
        "chamfer_p90": 0.7,
    }


def test_broken_tables_and_results_are_named(tmp_path, published):
    with pytest.raises(FormatError, match="no published figures"):
        read_published(tmp_path)
    header = "protocol,dataset,split,method,variant,subset,metric,unit,value,images,source"
    (tmp_path / "a.csv").write_text(f"{header}\nnow,NoW,,X,,all,median,mm,1.0,,\n")
    with pytest.raises(FormatError, match=r"a\.csv, line 2"):
        read_published(tmp_path)
    (tmp_path / "a.csv").write_text("method,value\nX,1\n")
    with pytest.raises(FormatError, match="other columns"):
        read_published(tmp_path)
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(FormatError, match=r"x\.json lacks protocol, origin"):
        compare_methods({"x": tmp_path / "x.json"}, published, CompareSettings())


def test_curves_by_hand_and_as_svg():
    curve = cumulative_curve(np.array([0.5, 1.0, 3.0, 99.0]), 4.0, 4)
    assert curve["share"].tolist() == [0, 0.5, 0.5, 0.75, 0.75]
    assert cumulative_curve(np.zeros(0), 1.0, 2)["share"].tolist() == [0, 0, 0]
    text = curve_svg({"a < b": curve}, [("X & Y", 1.2), ("far", 9.0)], "title <1>", "note")
    root = ElementTree.fromstring(text)
    space = "{http://www.w3.org/2000/svg}"
    points = root.find(f"{space}polyline").attrib["points"].split()
    assert points[0] == "64.0,410.0" and points[-1] == "740.0,137.0"  # 410 - 0.75 * 364
    circles = [c for c in root.iter(f"{space}circle") if c.attrib["cy"] == "228.0"]
    assert [c.attrib["cx"] for c in circles] == [f"{64 + 676 * 0.3:.1f}"]
    assert "script" not in text


def test_colours_of_distances_by_hand():
    colors = distance_colors(np.array([0.0, 1.0, 1.5, 4.0, 100.0]), 4.0)
    np.testing.assert_allclose(colors[[0, 1, 3, 4]], STOPS[[0, 1, 4, 4]])
    np.testing.assert_allclose(colors[2], (STOPS[1] + STOPS[2]) / 2)


def test_a_heat_map_shows_the_front_in_any_pose():
    mesh = face_grid(61, 77)
    distances = np.where(mesh.vertices[:, 0] < 0, 0.0, 4.0)
    turn = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
    moved, ids = mesh.vertices @ turn.T + 500, np.arange(len(mesh.vertices))
    picture = heat_map(moved, mesh.triangles, ids, distances, turn[:, 0], turn[:, 2], 4.0, side=200)
    row = np.asarray(picture, dtype=float)[22 + 60, :200]
    blue = row[:, 2] - row[:, 0]
    assert blue[60] > 60 and blue[140] < -60  # near on the left, far on the right
    assert row[3].min() == 255


def test_shown_cases_run_from_best_to_worst():
    def scored(name, median, status="ok"):
        return CaseScore(NowCase("s", "c", name, ""), status, "", np.array([median]))

    scores = [
        scored("e", 5.0),
        scored("a", 1.0),
        scored("x", 0.1, "bad_scan"),
        scored("c", 3.0),
        scored("b", 2.0),
    ]
    assert [(rank, s.case.image) for rank, s in chosen_cases(scores, 2)] == [(0, "a"), (3, "e")]
    assert [s.case.image for _, s in chosen_cases(scores, 9)] == ["a", "b", "c", "e"]
    assert chosen_cases(scores, 0) == [] == chosen_cases(scores[2:3], 3)


def test_all_files_of_an_evaluation(tmp_path, published):
    cases = ["anna/selfie/a1", "anna/multiview_neutral/a2", "bert/selfie/b1"]
    dataset, predictions = tmp_path / "data", tmp_path / "predictions"
    write_list(dataset, cases)
    write_subject(dataset, "anna", face_grid(41, 51), face_landmarks())
    for case in cases:
        write_prediction(predictions, case, face_grid(31, 41), face_landmarks())
    task, settings = NowTask(dataset=str(dataset), predictions=str(predictions)), NowSettings(heat_maps=1)
    names = ("mine.json", "mine_cases.csv", "curve.svg", "curve.csv", "heat_maps", "distances.npz")
    paths = [tmp_path / "out" / name for name in names]
    write_now(evaluate_now(task, settings), published, "mine", *paths)
    summary = json.loads(paths[0].read_text())
    assert {"median", "mean", "std", "vertices", "cases", "missing"} <= set(summary)
    assert read_histograms(paths[5]).cases.tolist() == cases[:2]
    table = pd.read_csv(paths[1])
    assert table["case"].tolist() == cases and table["status"].tolist() == ["ok", "ok", "missing_scan"]
    assert table["vertices"].sum() == summary["vertices"] and table["median"].isna().sum() == 1
    assert "1.11 mm, published median of Deep3DFaceRecon PyTorch" in paths[2].read_text()
    (dataset / "synthetic.json").write_text("{}")
    write_now(evaluate_now(task, settings), published, "mine", *paths)
    assert "published median" not in paths[2].read_text() and "synthetic data" in paths[2].read_text()
    curve = pd.read_csv(paths[3])
    assert set(curve["challenge"]) == {"all", "selfie", "multiview_neutral"}
    pictures = list(paths[4].iterdir())
    assert len(pictures) == 1 and np.asarray(Image.open(pictures[0])).std() > 10
    assert not list(tmp_path.rglob(".partial*"))
