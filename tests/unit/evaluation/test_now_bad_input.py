"""Bad data sets and predictions: each is named, and the other cases are still scored."""

import shutil

import numpy as np
import pytest

from facemill.evaluation.now import evaluate_now
from facemill.evaluation.settings import NowSettings, NowTask
from facemill.formats.meshes import write_obj
from facemill.formats.now import (
    face_box_file,
    find_pictures,
    picture_file,
    read_cases,
    read_scan_landmarks,
    scan_file,
)
from facemill.formats.now_predictions import prediction_files, read_prediction_landmarks
from facemill.geometry.mesh import Mesh
from facemill.runtime.errors import FormatError
from unit.evaluation.analytic_face import (
    face_grid,
    face_landmarks,
    write_list,
    write_prediction,
    write_subject,
)

CASES = ["anna/selfie/a1", "bert/selfie/b1"]


@pytest.fixture
def study(tmp_path):
    """Two good cases; a test spoils the one of bert."""
    dataset, predictions = tmp_path / "data", tmp_path / "predictions"
    write_list(dataset, CASES)
    for case in CASES:
        write_subject(dataset, case.split("/")[0], face_grid(41, 51), face_landmarks())
        write_prediction(predictions, case, face_grid(31, 41), face_landmarks())
    return dataset, predictions


def outcome(study, **keys):
    """Status and reason of bert's case, after checking that anna's was scored and the summary counts both."""
    task = NowTask(dataset=str(study[0]), predictions=str(study[1]), **keys)
    result = evaluate_now(task, NowSettings())
    anna, bert = result.scores
    summary = result.summary()
    assert anna.status == "ok" and len(anna.distances) > 1000
    assert summary["cases"] == 2
    assert summary["scored"] + summary["missing"] + summary["failed"] == 2
    if bert.status != "ok":
        assert summary["scored"] == 1
        assert bert.reason in summary["not_scored"][CASES[1]]
        assert summary["vertices"] == len(anna.distances)
    return bert.status, bert.reason


def test_a_missing_prediction_is_counted_and_named(study):
    (study[1] / f"{CASES[1]}.obj").unlink()
    status, reason = outcome(study)
    assert status == "missing_prediction" and f"{CASES[1]}.obj" in reason


def test_a_prediction_without_landmarks(study):
    (study[1] / f"{CASES[1]}.txt").unlink()
    status, reason = outcome(study)
    assert status == "bad_landmarks" and f"{CASES[1]}.npy" in reason


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (face_landmarks()[:6], "seven points"),
        (face_landmarks().T, "seven points"),
        (np.where(np.eye(7, 3) == 1, np.nan, face_landmarks()), "no number"),
        (face_landmarks()[[3, 2, 1, 0, 4, 6, 5]], "right to left"),
        (face_landmarks() / 1000, "another unit or frame"),
        (face_landmarks() + 500, "another unit or frame"),
    ],
    ids=["six", "transposed", "nan", "order", "unit", "frame"],
)
def test_bad_predicted_landmarks(study, points, words):
    np.savetxt(study[1] / f"{CASES[1]}.txt", points)
    status, reason = outcome(study)
    assert status == "bad_landmarks" and words in reason and "bert/selfie/b1" in reason


def test_pickled_landmarks_are_not_opened(study):
    (study[1] / f"{CASES[1]}.txt").unlink()
    np.save(study[1] / f"{CASES[1]}.npy", np.array([{"x": 1}], dtype=object), allow_pickle=True)
    status, reason = outcome(study)
    assert status == "bad_landmarks" and "b1.npy" in reason


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no vertex"),
        ("v 1 2 3\nv 2 3 4\nv 0 0 1\n", "no triangle"),
        ("v 1 2 nan\nv 2 3 4\nv 0 0 1\nf 1 2 3\n", "no number"),
        ("<html>not found</html>", "no vertex"),
    ],
    ids=["empty", "points", "nan", "web page"],
)
def test_bad_predicted_meshes(study, text, words):
    (study[1] / f"{CASES[1]}.obj").write_text(text)
    status, reason = outcome(study)
    assert status == "bad_prediction" and words in reason and "b1.obj" in reason


def test_a_metrical_prediction_in_another_unit(study):
    mesh = face_grid(31, 41)
    write_prediction(study[1], CASES[1], mesh.with_vertices(mesh.vertices / 1000), face_landmarks() / 1000)
    assert outcome(study)[0] == "ok"
    status, reason = outcome(study, metrical=True)
    assert status == "wrong_unit" and "set unit: m" in reason and "b1.obj" in reason


def test_a_scan_in_metres(study):
    mesh = face_grid(41, 51)
    write_subject(study[0], "bert", mesh.with_vertices(mesh.vertices / 1000), face_landmarks() / 1000)
    status, reason = outcome(study)
    assert (
        status == "bad_scan_landmarks" and "are these metres?" in reason and "head_picked_points.pp" in reason
    )


def test_scan_and_landmarks_in_two_units(study):
    mesh = face_grid(41, 51)
    write_subject(study[0], "bert", mesh.with_vertices(mesh.vertices / 1000), face_landmarks())
    status, reason = outcome(study)
    assert status == "bad_scan" and "unit, frame or person" in reason and "head.obj" in reason


def test_six_points_or_another_order_on_the_scan(study):
    write_subject(study[0], "bert", face_grid(41, 51), face_landmarks()[:6])
    status, reason = outcome(study)
    assert status == "bad_scan_landmarks" and "seven points" in reason and ".pp" in reason
    write_subject(study[0], "bert", face_grid(41, 51), face_landmarks()[[0, 1, 2, 3, 5, 4, 6]])
    status, reason = outcome(study)
    assert status == "bad_scan_landmarks" and "nose" in reason and ".pp" in reason


def test_a_scan_with_nan_loses_these_vertices_and_their_triangles(study):
    path = study[0] / "scans" / "bert" / "head.obj"
    mesh = face_grid(41, 51)
    vertices = mesh.vertices.copy()
    vertices[[0, 600, 1025]] = np.nan, np.inf, np.nan  # a corner, and two inside of the region
    write_subject(study[0], "bert", mesh.with_vertices(vertices), face_landmarks())
    assert "nan" in path.read_text() and "inf" in path.read_text()
    task = NowTask(dataset=str(study[0]), predictions=str(study[1]))
    anna, bert = evaluate_now(task, NowSettings(heat_maps=0)).scores
    assert bert.status == "ok" and "3 vertices that are no numbers" in bert.reason
    assert "head.obj" in bert.reason and len(bert.distances) == len(anna.distances) - 2
    assert np.isfinite(bert.distances).all()
    assert np.median(bert.distances) == pytest.approx(np.median(anna.distances), rel=0.02)
    write_subject(study[0], "bert", mesh.with_vertices(np.full_like(vertices, np.nan)), face_landmarks())
    status, reason = outcome(study)
    assert status == "bad_scan" and "no position of a vertex is a number" in reason


def test_a_missing_scan(study):
    path = study[0] / "scans" / "bert" / "head.obj"
    path.unlink()
    assert outcome(study)[0] == "missing_scan"
    shutil.rmtree(path.parent)
    status, reason = outcome(study)
    assert status == "missing_scan" and "no such folder" in reason


def test_loose_vertices_flat_and_flipped_triangles_change_no_figure(study):
    task = NowTask(dataset=str(study[0]), predictions=str(study[1]))
    clean = evaluate_now(task, NowSettings()).scores[1]
    mesh = face_grid(41, 51)
    vertices = np.concatenate([mesh.vertices, [[0.0, 0, 60], [5, 5, 120]]])
    triangles = mesh.triangles.copy()
    triangles[::3] = triangles[::3, ::-1]
    triangles = np.concatenate([triangles, [[0, 0, 1], [5, 5, 5]]])
    write_subject(study[0], "bert", Mesh(vertices, triangles), face_landmarks())
    score = evaluate_now(task, NowSettings()).scores[1]
    assert score.status == "ok"
    assert "2 triangles without area" in score.reason and "2 vertices of no triangle" in score.reason
    assert "head.obj" in score.reason
    np.testing.assert_allclose(score.distances, clean.distances, rtol=0, atol=1e-9)


def test_a_scan_with_few_vertices_in_the_region(study):
    write_subject(study[0], "bert", face_grid(8, 10), face_landmarks())
    status, reason = outcome(study)
    assert status == "bad_scan" and "expected at least 100" in reason


def test_a_point_cloud_is_a_scan(study):
    write_obj(
        study[0] / "scans" / "bert" / "head.obj", Mesh(face_grid(41, 51).vertices, np.zeros((0, 3), int))
    )
    assert outcome(study) == ("ok", "")


def test_an_unforeseen_exception_is_a_row(study, monkeypatch):
    def fail(case, *rest):
        if case.subject == "bert":
            raise RuntimeError("surprise")
        return original(case, *rest)

    import facemill.evaluation.now as now

    original = now.score_case
    monkeypatch.setattr(now, "score_case", fail)
    assert outcome(study) == ("error", "RuntimeError: surprise")


def test_folders_of_other_protocols_are_named(study, tmp_path):
    other = tmp_path / "AFLW2000"
    other.mkdir()
    (other / "image00002.mat").write_bytes(b"")
    with pytest.raises(FormatError, match=r"(?s)not a folder of the NoW benchmark.*image00002\.mat"):
        read_cases(other)
    with pytest.raises(FormatError, match="is missing"):
        read_cases(tmp_path / "nowhere")
    task = NowTask(dataset=str(study[0]), predictions=str(other))
    with pytest.raises(FormatError, match=r"(?s)holds no prediction for any of the 2 cases.*anna/selfie/a1"):
        evaluate_now(task, NowSettings())
    with pytest.raises(FormatError, match="folder of predictions"):
        evaluate_now(NowTask(dataset=str(study[0]), predictions=str(tmp_path / "none")), NowSettings())


def test_lists_and_lines(study):
    write_list(study[0], [*CASES, "carl/selfie/c1"], "test")
    assert len(read_cases(study[0])) == 2
    assert len(read_cases(study[0], "test")) == 3
    with pytest.raises(FormatError, match="names no picture"):
        read_cases(study[0], challenges=["multiview_neutral"])
    (study[0] / "imagepathstest.txt").write_text("anna/a1.jpg\n")
    with pytest.raises(FormatError, match="line 1"):
        read_cases(study[0], "test")
    (study[0] / "imagepathstest.txt").write_text("NoW/iphone_pictures/anna/selfie/IMG_1.2.HEIC\r\n\r\n")
    assert read_cases(study[0], "test")[0].name == "anna/selfie/IMG_1.2"
    shutil.rmtree(study[0] / "scans")
    with pytest.raises(FormatError, match="it lacks scans"):
        read_cases(study[0], "test")
    assert len(read_cases(study[0], "test", need_scans=False)) == 1


def test_pictures_and_boxes_in_both_layouts(study):
    cases = read_cases(study[0])
    case, other = cases
    with pytest.raises(FormatError, match="holds no picture of its 2 cases"):
        find_pictures(study[0], cases)
    assert picture_file(study[0], case) is None and face_box_file(study[0], case) is None
    short = study[0] / "final_release_version"
    for root in (short, study[0] / "NoW_Dataset" / "final_release_version", study[0]):
        for name in ("iphone_pictures/anna/selfie/a1.jpg", "detected_face/anna/selfie/a1.npy"):
            (root / name).parent.mkdir(parents=True)
            (root / name).write_bytes(b"")
        assert picture_file(study[0], case) == root / "iphone_pictures" / "anna" / "selfie" / "a1.jpg"
        assert face_box_file(study[0], case) == root / "detected_face" / "anna" / "selfie" / "a1.npy"
        found = find_pictures(study[0], cases)
        assert found[case] == picture_file(study[0], case)
        assert found[other] == study[0] / "iphone_pictures" / "bert" / "selfie" / "b1.jpg"


def test_several_scans_of_a_subject(study):
    folder = study[0] / "scans" / "bert"
    shutil.copy(folder / "head.obj", folder / "other.obj")
    assert scan_file(study[0], "bert").name == "head.obj"
    (study[0] / "scans_lmks_onlypp" / "bert" / "head_picked_points.pp").unlink()
    with pytest.raises(FormatError, match="one scan"):
        scan_file(study[0], "bert")


def test_prediction_files_prefer_obj_and_npy(study):
    case = read_cases(study[0])[0]
    (study[1] / "anna/selfie/a1.ply").write_bytes(b"")
    (study[1] / "anna/selfie/a1.npy").write_bytes(b"")
    files = prediction_files(study[1], case)
    assert files.mesh.suffix == ".obj" and files.landmarks.suffix == ".npy"
    with pytest.raises(FormatError, match=r"a1\.npy"):
        read_prediction_landmarks(files.landmarks)


def test_a_point_that_was_not_picked(study):
    path = study[0] / "scans_lmks_onlypp" / "bert" / "head_picked_points.pp"
    path.write_text(path.read_text().replace('active="1"', 'active="0"', 1))
    with pytest.raises(FormatError, match="point 0 is no number"):
        read_scan_landmarks(path)
