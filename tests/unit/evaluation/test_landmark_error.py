"""NME of 68 landmarks: by hand, by yaw, from files, with bad files among them."""

import json

import numpy as np
import pytest
from scipy.io import savemat

from facemill.evaluation.landmarks import evaluate_landmarks, normalised_mean_error, write_landmarks
from facemill.evaluation.settings import LandmarkErrorSettings, LandmarkTask
from facemill.formats.landmarks import write_points_text, write_pts
from facemill.formats.true_landmarks import prediction_file, read_aflw2000, read_true_faces
from facemill.runtime.errors import FormatError

SETTINGS = LandmarkErrorSettings()
# 68 points in a box of 80 x 20 pixels: sqrt(80 x 20) = 40
POINTS = np.stack([100 + 80 * np.linspace(0, 1, 68), 200 + 20 * (np.arange(68) % 2)], axis=1)


def annotate(folder, photo, yaw_degrees):
    folder.mkdir(exist_ok=True)
    points = np.vstack([POINTS.T, np.zeros((1, 68))])
    pose = np.array([[0.1, np.radians(yaw_degrees), 0.2, 1, 2, 3, 0.001]])
    savemat(folder / f"{photo}.mat", {"pt3d_68": points, "Pose_Para": pose})


@pytest.fixture
def study(tmp_path):
    """Four faces, the last one of the middle bin without a prediction; errors 3, 4, 5 pixels."""
    truth, predictions = tmp_path / "truth", tmp_path / "predictions"
    for photo, yaw in (("a", -10), ("b", 31), ("c", 89), ("d", -59)):
        annotate(truth, photo, yaw)
    write_points_text(predictions / "a.txt", POINTS + [3, 0])
    write_points_text(predictions / "b" / "landmarks68.txt", POINTS + [0, -4])
    write_pts(predictions / "c.pts", POINTS + [3, 4])
    return LandmarkTask(folder=str(truth), predictions=str(predictions))


def test_known_errors_by_yaw_and_balanced(study):
    evaluation = evaluate_landmarks(study)
    summary = evaluation.summary(SETTINGS)
    assert summary["yaw"] == {
        "0-30": {"nme": pytest.approx(7.5), "faces": 1},
        "30-60": {"nme": pytest.approx(10.0), "faces": 1},
        "60-90": {"nme": pytest.approx(12.5), "faces": 1},
    }
    assert summary["balanced_nme"] == pytest.approx(10.0)
    assert summary["nme"] == pytest.approx(10.0)
    counts = {key: summary[key] for key in ("faces", "scored", "missing", "failed")}
    assert counts == {"faces": 4, "scored": 3, "missing": 1, "failed": 0}
    row = evaluation.table.set_index("photo").loc["d"]
    assert row["status"] == "missing_prediction" and "d" in row["reason"]
    assert row["yaw_degrees"] == pytest.approx(-59)


def test_balanced_is_the_mean_of_the_bins_not_of_the_faces(study, tmp_path):
    for number in range(5):
        annotate(tmp_path / "truth", f"more{number}", 5)
        write_points_text(tmp_path / "predictions" / f"more{number}.txt", POINTS)
    summary = evaluate_landmarks(study).summary(SETTINGS)
    assert summary["yaw"]["0-30"]["nme"] == pytest.approx(7.5 / 6, abs=1e-4)
    assert summary["balanced_nme"] == pytest.approx((1.25 + 10 + 12.5) / 3, abs=1e-4)
    assert summary["nme"] == pytest.approx(30 / 8, abs=1e-4)


def test_faces_of_unknown_yaw_count_overall_only(tmp_path):
    (tmp_path / "truth").mkdir()
    write_pts(tmp_path / "truth" / "a.pts", POINTS)
    write_points_text(tmp_path / "own" / "a.txt", POINTS + [2, 0])
    task = LandmarkTask(folder=str(tmp_path / "truth"), predictions=str(tmp_path / "own"))
    summary = evaluate_landmarks(task).summary(SETTINGS)
    assert summary["nme"] == pytest.approx(5.0)
    assert summary["balanced_nme"] is None
    assert {entry["faces"] for entry in summary["yaw"].values()} == {0}


def test_bad_files_are_rows(study, tmp_path):
    (tmp_path / "truth" / "c.mat").write_bytes(b"<html>")
    (tmp_path / "predictions" / "b" / "landmarks68.txt").write_text("1 2\n3 4\n")
    write_points_text(tmp_path / "predictions" / "d.txt", np.where(np.eye(68, 2) > 0, np.nan, POINTS))
    evaluation = evaluate_landmarks(study)
    table = evaluation.table.set_index("photo")
    assert table["status"].to_dict() == {
        "a": "ok",
        "b": "bad_prediction",
        "c": "bad_ground_truth",
        "d": "bad_prediction",
    }
    assert "landmarks68.txt" in table.loc["b", "reason"] and "2 points" in table.loc["b", "reason"]
    assert "c.mat" in table.loc["c", "reason"]
    assert "d.txt" in table.loc["d", "reason"] and "finite" in table.loc["d", "reason"]
    assert evaluation.summary(SETTINGS)["failed"] == 3


def test_other_folders_are_named(study, tmp_path):
    empty = tmp_path / "scans"
    empty.mkdir()
    (empty / "head.obj").write_text("")
    with pytest.raises(FormatError, match=r"(?s)no true landmarks.*head\.obj"):
        read_true_faces(empty)
    with pytest.raises(FormatError, match="no true landmarks"):
        read_true_faces(tmp_path / "nowhere")
    with pytest.raises(FormatError, match="for any of the 4 photos"):
        evaluate_landmarks(LandmarkTask(folder=study.folder, predictions=str(empty)))
    savemat(empty / "face.mat", {"id": np.zeros((1, 80))})
    with pytest.raises(FormatError, match=r"no annotation of AFLW2000-3D"):
        read_aflw2000(empty / "face.mat")


def test_the_error_does_not_depend_on_place_or_size():
    moved = POINTS + np.random.default_rng(0).normal(0, 2, POINTS.shape)
    first = normalised_mean_error(moved, POINTS)
    assert normalised_mean_error(3 * moved + 50, 3 * POINTS + 50) == pytest.approx(first)
    deep = np.hstack([POINTS, np.full((68, 1), 9.0)])
    assert normalised_mean_error(moved, deep) == pytest.approx(first)
    with pytest.raises(ValueError, match="as many points"):
        normalised_mean_error(moved[:5], POINTS)
    with pytest.raises(ValueError, match="one line"):
        normalised_mean_error(moved, POINTS * [1, 0])


def test_files_are_found_and_written(study, tmp_path):
    assert prediction_file(study.predictions, "b").name == "landmarks68.txt"
    assert prediction_file(study.predictions, "x") is None
    write_landmarks(evaluate_landmarks(study), SETTINGS, tmp_path / "x.json", tmp_path / "x.csv")
    assert json.loads((tmp_path / "x.json").read_text())["protocol"] == "landmarks"
    assert len((tmp_path / "x.csv").read_text().splitlines()) == 5
