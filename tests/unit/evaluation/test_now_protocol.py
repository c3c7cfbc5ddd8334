"""The NoW protocol: region, landmarks, scoring of cases, pooled figures."""

import json
import re
import shutil

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from facemill.evaluation.now import COLUMNS, evaluate_now, statistics
from facemill.evaluation.scan_region import crop_scan
from facemill.evaluation.settings import NowSettings, NowTask
from facemill.evaluation.seven_landmarks import front_of, order_fault, scored_region, unit_fault
from facemill.formats.meshes import write_ply
from facemill.geometry.mesh import Mesh
from facemill.geometry.similarity import Similarity
from facemill.runtime.errors import ConfigurationError
from unit.evaluation.analytic_face import (
    face_grid,
    face_landmarks,
    height,
    write_list,
    write_prediction,
    write_subject,
)

PLACE = Similarity(0.013, Rotation.from_rotvec([0.5, 0.9, -0.3]).as_matrix(), np.array([1.0, 2.0, -3.0]))
CASES = ["anna/multiview_neutral/a1", "anna/selfie/a2", "bert/multiview_neutral/b1", "bert/selfie/b2"]


def moved(place=PLACE, lift=0.0, columns=45):
    """A prediction: the face, `lift` mm off along z, in another frame; and its landmarks there."""
    mesh = face_grid(columns, columns + 11)
    vertices = mesh.vertices + np.array([0, 0, lift])
    return mesh.with_vertices(place.apply(vertices)), place.apply(face_landmarks())


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two subjects with two pictures each; a data set and predictions that are all there."""
    root = tmp_path_factory.mktemp("now")
    dataset, predictions = root / "data", root / "predictions"
    write_list(dataset, CASES)
    noise = np.random.default_rng(5)
    for subject, sigma in (("anna", 0.2), ("bert", 0.6)):
        mesh = face_grid(61, 77)
        scan = mesh.with_vertices(mesh.vertices + noise.normal(0, sigma, mesh.vertices.shape))
        write_subject(dataset, subject, scan, face_landmarks())
    for number, case in enumerate(CASES):
        mesh, landmarks = moved()
        write_prediction(predictions, case, mesh, landmarks, ".npy" if number % 2 else ".txt")
    return dataset, predictions


def task(study, **keys):
    return NowTask(dataset=str(study[0]), predictions=str(study[1]), **keys)


def both(study, folder):
    """Summaries, over the selfies, with the predictions of `folder` and with the ones of the study."""
    folders = (folder, study[1])
    return [
        evaluate_now(task((study[0], f), challenges=["selfie"]), NowSettings()).summary() for f in folders
    ]


def test_the_region_by_hand():
    points = np.array(
        [[-50, 0, 0], [-20, 4, 0], [10, 4, 0], [50, 0, 0], [1, -40, 30], [0, 0, 0], [0, 0, 0]], float
    )
    region = scored_region(points)
    # m = (-5, 4, 0); n = (1, -40, 30); centre n + 0.3 (m - n); |m - n| = sqrt(36 + 1936 + 900) = 53.5910
    np.testing.assert_allclose(region.centre, [-0.8, -26.8, 21.0])
    assert region.radius == pytest.approx(1.4 * (100 + 53.59104) / 2, abs=1e-4)
    assert scored_region(points, 1.2).radius == pytest.approx(region.radius * 1.2 / 1.4)
    inside = region.holds(
        region.centre + np.array([[region.radius - 1e-6, 0, 0], [0, region.radius + 1e-6, 0]])
    )
    assert inside.tolist() == [True, False]


def test_good_landmarks_pass_in_any_pose():
    for vector in ([0, 0, 0], [1.0, -2.0, 0.3], [0, 3.0, 0]):
        points = Similarity(0.2, Rotation.from_rotvec(vector).as_matrix(), np.array([5.0, 6, 7])).apply(
            face_landmarks()
        )
        assert order_fault(points) is None
    assert unit_fault(face_landmarks()) is None
    assert front_of(face_landmarks())[2] > 0


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ([3, 2, 1, 0, 4, 5, 6], "swapped"),
        ([3, 2, 1, 0, 4, 6, 5], "right to left"),
        ([0, 1, 2, 3, 4, 6, 5], "swapped"),
        ([1, 0, 2, 3, 4, 5, 6], "eye corners"),
        ([4, 0, 1, 2, 3, 5, 6], "eye corners"),
        ([0, 1, 2, 3, 5, 4, 6], "nose"),
        ([5, 1, 2, 6, 4, 0, 3], "eye corners|nose"),
    ],
)
def test_other_orders_are_named(order, words):
    fault = order_fault(face_landmarks()[order])
    assert fault and re.search(words, fault), fault


def test_mirrored_points_and_other_units_are_named():
    assert "mirrored" in order_fault(face_landmarks() * [1, 1, -1])
    assert "metres" in unit_fault(face_landmarks() / 1000)
    assert "centimetres" in unit_fault(face_landmarks() / 10)
    assert order_fault(np.ones((7, 3))) is not None


def test_a_perfect_prediction_of_another_frame_and_size_scores_the_noise_of_the_scan(study):
    result = evaluate_now(task(study), NowSettings())
    summary = result.summary()
    assert [score.status for score in result.scores] == ["ok"] * 4
    assert summary["cases"] == summary["scored"] == 4 and summary["missing"] == summary["failed"] == 0
    # the noise perpendicular to the surface is |N(0, sigma)|: median 0.674 sigma, mean 0.798 sigma
    anna, _, bert, _ = (score.distances for score in result.scores)
    assert np.median(anna) == pytest.approx(0.674 * 0.2, rel=0.1)
    assert np.median(bert) == pytest.approx(0.674 * 0.6, rel=0.1)
    pooled = np.concatenate([score.distances for score in result.scores])
    assert summary["median"] == np.median(pooled) != np.mean([np.median(anna), np.median(bert)])
    assert (summary["mean"], summary["std"]) == (pooled.mean(), pooled.std())
    assert summary["vertices"] == len(pooled) == result.table["vertices"].sum()
    selfie = np.concatenate([score.distances for score in result.scores if score.case.challenge == "selfie"])
    assert summary["challenges"]["selfie"]["median"] == np.median(selfie)
    assert list(summary["challenges"]) == ["multiview_neutral", "selfie"]
    assert tuple(result.table.columns) == COLUMNS
    assert result.table["case"].tolist() == CASES
    json.dumps(summary, allow_nan=False)


def test_two_processes_give_the_same(study):
    first, second = (evaluate_now(task(study), NowSettings(), threads=n) for n in (1, 2))
    assert first.summary() == second.summary()
    assert first.table.equals(second.table)


def test_challenges_can_be_chosen(study):
    summary = evaluate_now(task(study, challenges=["selfie"]), NowSettings()).summary()
    assert summary["cases"] == 2 and list(summary["challenges"]) == ["selfie"]


def test_metrical_keeps_the_predicted_size(tmp_path, study):
    metres = Similarity(1.12e-3, PLACE.rotation, PLACE.translation)  # 12 % too large, in metres
    for case in CASES:
        write_prediction(tmp_path, case, *moved(metres))
    files = (study[0], tmp_path)
    free = evaluate_now(task(files), NowSettings()).summary()
    fixed = evaluate_now(task(files, metrical=True, unit="m"), NowSettings()).summary()
    wrong = evaluate_now(task(files, metrical=True), NowSettings())
    assert fixed["median"] > 2 * free["median"]
    assert fixed["protocol"] == "now_metrical" and free["protocol"] == "now"
    assert {score.status for score in wrong.scores} == {"wrong_unit"}
    assert "set unit: m" in wrong.scores[0].reason
    assert wrong.summary()["median"] is None and wrong.summary()["failed"] == 4


def test_ply_with_colours_and_text_landmarks_score_like_obj(tmp_path, study):
    mesh, landmarks = moved()
    colored = Mesh(mesh.vertices, mesh.triangles, np.full_like(mesh.vertices, 0.5))
    for case in CASES:
        write_prediction(tmp_path, case, mesh, landmarks, ".npy")
        (tmp_path / f"{case}.obj").unlink()
        write_ply(tmp_path / f"{case}.ply", colored)
    ply, obj = (
        evaluate_now(task((study[0], folder)), NowSettings()).summary() for folder in (tmp_path, study[1])
    )
    assert ply["median"] == pytest.approx(obj["median"], rel=1e-3)


def test_poor_landmarks_do_not_lead_astray(tmp_path, study):
    mesh, _ = moved()
    tilted = Rotation.from_euler("xyz", [24, -20, 15], degrees=True).apply(face_landmarks() * 1.35)
    for case in CASES:
        write_prediction(tmp_path, case, mesh, PLACE.apply(tilted - np.array([0, 0, 25])))
    poor, good = (
        evaluate_now(task((study[0], folder)), NowSettings()).summary() for folder in (tmp_path, study[1])
    )
    assert poor["scored"] == 4
    assert poor["median"] == pytest.approx(good["median"], rel=2e-3)


def test_hidden_vertices_are_left_out_only_when_asked():
    outer, inner = face_grid(61, 77), face_grid(31, 39)
    x, y = 0.3 * inner.vertices[:, 0], 0.3 * inner.vertices[:, 1]
    small = np.stack([x, y, height(x, y) - 6], axis=1)  # the middle of the face again, 6 mm inside
    vertices = np.concatenate([outer.vertices, small])
    triangles = np.concatenate([outer.triangles, inner.triangles + len(outer.vertices)])
    triangles[::7] = triangles[::7, ::-1]  # flipped ones do not matter
    kept = crop_scan(vertices, triangles, face_landmarks(), NowSettings(), "scan.obj")
    seen = crop_scan(vertices, triangles, face_landmarks(), NowSettings(visible_only=True), "scan.obj")
    alone = crop_scan(outer.vertices, outer.triangles, face_landmarks(), NowSettings())
    assert "scan.obj" in kept.note and "visible_only" in kept.note
    assert "cannot be seen" in seen.note
    assert (kept.ids >= len(outer.vertices)).sum() > 500
    assert (seen.ids >= len(outer.vertices)).sum() == 0
    assert len(seen.ids) >= 0.995 * len(alone.ids)
    assert alone.note == ""


def test_synthetic_data_are_never_the_original(tmp_path, study):
    dataset = tmp_path / "data"
    shutil.copytree(study[0], dataset)
    (dataset / "synthetic.json").write_text("{}")
    files = (dataset, study[1])
    assert evaluate_now(task(files), NowSettings()).origin == "synthetic"
    with pytest.raises(ConfigurationError, match="marked as synthetic"):
        evaluate_now(task(files, origin="original"), NowSettings())
    assert evaluate_now(task(study, origin="original"), NowSettings()).summary()["origin"] == "original"


def test_statistics_of_nothing_and_by_hand():
    assert statistics(np.zeros(0)) == {"median": None, "mean": None, "std": None}
    assert statistics(np.array([1.0, 2.0, 6.0])) == {
        "median": 2.0,
        "mean": 3.0,
        "std": pytest.approx(np.sqrt(14 / 3)),
    }


def test_the_face_is_not_symmetric():
    assert abs(height(np.array(30.0), np.array(10.0)) - height(np.array(-30.0), np.array(10.0))) > 0.4
