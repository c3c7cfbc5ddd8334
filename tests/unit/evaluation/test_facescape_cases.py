"""FaceScape's single-view benchmark over a table, on tubes whose scores are known by hand."""

import json

import numpy as np
import pandas as pd
import pytest

from facemill.evaluation.facescape_cases import evaluate_facescape, head_axis
from facemill.evaluation.published import figures_of
from facemill.evaluation.settings import FacescapeTask
from facemill.formats.meshes import write_obj
from unit.evaluation.test_other_protocols import AXIS, cylinder

# Pupils 62.85 mm apart, the tip of the nose 100 mm before the axis of the tube, mouth corners; y is down.
POINTS = np.array([[-31.425, -30, 830], [31.425, -30, 830], [0, 0, 800], [-25, 30, 830], [25, 30, 830.0]])
CAMERA = "1200,1200,255.5,255.5,512,512"


@pytest.fixture
def cases(tmp_path):
    """A tube in another unit, its upper half, one elsewhere, one that is missing, one without a camera."""
    tube = cylinder(80.0)
    meshes = {
        "same": tube.with_vertices(tube.vertices / 10),
        "half": cylinder(80.0, bottom=0.0),
        "away": tube.with_vertices(tube.vertices + [900, 0, 0]),
    }
    for name, mesh in meshes.items():
        write_obj(tmp_path / f"{name}.obj", mesh)
        np.savetxt(tmp_path / f"{name}.txt", POINTS / 10 if name == "same" else POINTS)
    write_obj(tmp_path / "truth.obj", tube)
    np.savetxt(tmp_path / "truth.txt", POINTS)
    rows = [f"{name},{name}.obj,truth.obj,{name}.txt,truth.txt,{CAMERA}" for name in [*meshes, "none"]]
    rows += [f"blind,half.obj,truth.obj,half.txt,truth.txt,x{CAMERA}"]
    header = "case,prediction,truth,prediction_points,truth_points,fx,fy,cx,cy,width,height,yaw,focal_length"
    ends = ("0,1200", "-40,300", "10,300", "10,300", "10,300")
    lines = [header, *(f"{row},{end}" for row, end in zip(rows, ends, strict=True))]
    (tmp_path / "cases.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_axis_of_a_head_from_its_points():
    axis = head_axis(POINTS)
    np.testing.assert_allclose(axis.origin, AXIS.origin, atol=1e-9)
    np.testing.assert_allclose(axis.up, AXIS.up, atol=1e-9)
    np.testing.assert_allclose(axis.front, AXIS.front, atol=1e-9)


def test_table_of_tubes(cases):
    task = FacescapeTask(cases=str(cases / "cases.csv"), by_focal_length=True, origin="original")
    evaluate_facescape(task, cases / "out.json", cases / "out.csv")
    table = pd.read_csv(cases / "out.csv").set_index("case")
    expected = ["ok", "ok", "bad_prediction", "missing_prediction", "bad_ground_truth"]
    assert table["status"].tolist() == expected
    assert table.loc["same", "completeness"] == 1.0
    assert table.loc["half", "completeness"] == pytest.approx(0.5, abs=0.01)
    assert table.loc["same", "chamfer_distance"] == pytest.approx(0, abs=1e-3)
    summary = json.loads((cases / "out.json").read_text())
    assert (summary["scored"], summary["missing"], summary["failed"]) == (2, 1, 2)
    assert "no pixel is covered" in summary["not_scored"]["away"]
    assert "fx holds 'x1200'" in summary["not_scored"]["blind"]
    subsets = summary["subsets"]
    assert set(subsets) == {"all", "yaw 0-5", "yaw 30-60", "focal length 1200", "focal length 300"}
    assert subsets["all"]["completeness"] == pytest.approx(0.75, abs=0.01)
    assert subsets["yaw 30-60"]["completeness"] == pytest.approx(0.5, abs=0.01)
    figures = {(figure.subset, figure.metric): figure.value for figure in figures_of(summary)}
    assert figures["all", "completeness"] == subsets["all"]["completeness"]


def test_nothing_scored_has_no_figures(cases):
    text = (cases / "cases.csv").read_text().splitlines()
    (cases / "cases.csv").write_text("\n".join([text[0], text[4]]) + "\n")
    evaluate_facescape(FacescapeTask(cases=str(cases / "cases.csv")), cases / "out.json", cases / "out.csv")
    summary = json.loads((cases / "out.json").read_text())
    assert summary["subsets"] == {} and summary["missing"] == 1 and figures_of(summary) == []
