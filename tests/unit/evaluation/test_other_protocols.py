"""MICC, per-vertex shape error and the FaceScape benchmark, each against an answer by hand."""

import json
from functools import partial

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from facemill.evaluation import facescape_benchmark as benchmark
from facemill.evaluation import micc, shape_error
from facemill.evaluation.mesh_cases import MeshFigure, evaluate_pairs, write_pairs
from facemill.evaluation.published import figures_of
from facemill.evaluation.settings import MiccSettings, ShapeErrorTask
from facemill.evaluation.surface_index import LibiglIndex
from facemill.formats.meshes import write_obj
from facemill.geometry.mesh import Mesh
from facemill.geometry.similarity import Similarity
from facemill.runtime.errors import FormatError
from unit.evaluation.analytic_face import face_grid, face_landmarks

PLACE = Similarity(0.02, Rotation.from_rotvec([0.3, -0.8, 0.4]).as_matrix(), np.array([4.0, 5.0, -6.0]))
STILL = Similarity(1.0, np.eye(3), np.zeros(3))


def test_micc_point_to_plane_by_hand():
    # One right triangle in z = 0. Beside it the plane is still 3 away, though the triangle is 5 away.
    surface = LibiglIndex(np.array([[0.0, 0, 0], [10, 0, 0], [0, 10, 0]]), np.array([[0, 1, 2]]))
    points = np.array([[2.0, 2.0, 1.5], [2.0, -4.0, -3.0]])
    np.testing.assert_allclose(surface.closest(points).distances, [1.5, 5.0])
    np.testing.assert_allclose(micc.point_to_plane(points, surface, STILL), [1.5, 3.0])
    doubled = Similarity(2.0, np.eye(3), np.zeros(3))
    np.testing.assert_allclose(micc.point_to_plane(2 * points, surface, doubled), [3.0, 6.0])


def test_micc_crop_by_hand():
    nose = np.array([1.0, 2.0, 3.0])
    points = nose + np.array([[95.0, 0, 0], [95.001, 0, 0], [0, 60, 0], [0, -60, 0], [0, 60, 80]])
    assert micc.crop_to_face(points, nose).tolist() == [0, 2, 3]
    assert micc.crop_to_face(points, nose, up=np.array([0, 2.0, 0]), forehead=50).tolist() == [0, 3]
    with pytest.raises(ValueError, match="come together"):
        micc.crop_to_face(points, nose, up=np.array([0, 1.0, 0]))


def test_micc_scores_the_noise_of_a_scan_in_another_frame():
    mesh = face_grid(61, 77)
    scan = face_grid(81, 101).vertices
    kept = micc.crop_to_face(scan, face_landmarks()[4])
    noise = np.random.default_rng(2).normal(0, 0.5, (len(kept), 3))
    prediction = mesh.with_vertices(PLACE.apply(mesh.vertices))
    result = micc.evaluate_mesh(
        prediction, PLACE.apply(face_landmarks()), scan[kept] + noise, face_landmarks()
    )
    assert result.rmse == pytest.approx(0.5, rel=0.08)  # one of three directions is across the plane
    assert result.points == len(kept)
    assert result.scan_from_prediction.scale * PLACE.scale == pytest.approx(1.0, rel=5e-3)
    summary = micc.summarise(
        [result._replace(rmse=1.0), result._replace(rmse=2.0), result._replace(rmse=6.0)]
    )
    assert summary == pytest.approx((3.0, np.sqrt(14 / 3), 3))
    with pytest.raises(ValueError, match="empty"):
        micc.summarise([])


def test_shape_error_of_pairs_by_hand():
    # A square of side 2 whose corners are moved alternately up and down by 0.3: no similarity helps.
    true = np.array([[1.0, 1, 0], [-1, 1, 0], [-1, -1, 0], [1, -1, 0]])
    predicted = true + np.array([[0, 0, 0.3], [0, 0, -0.3], [0, 0, 0.3], [0, 0, -0.3]])
    error = shape_error.corresponding_error(PLACE.apply(predicted), true, with_scale=True)
    # the best scale for points (±1, ±1, ±0.3) is 2 / (2 + 0.09)
    scale = 2 / 2.09
    expected = np.sqrt(2 * (1 - scale) ** 2 + (0.3 * scale) ** 2)
    np.testing.assert_allclose(error.errors, expected, rtol=1e-9)
    rigid = shape_error.corresponding_error(predicted + 7, true, with_scale=False)
    assert rigid.mean == pytest.approx(0.3) and rigid.std == pytest.approx(0)


def test_shape_error_scores_only_what_is_asked():
    true = face_grid(9, 11).vertices
    predicted = true.copy()
    predicted[3] += [0, 0, 50]
    scored = np.delete(np.arange(len(true)), 3)
    assert shape_error.corresponding_error(predicted, true, scored).mean < 1e-9
    assert shape_error.corresponding_error(predicted, true).mean > 0.3
    with pytest.raises(ValueError, match="one shape"):
        shape_error.corresponding_error(predicted[1:], true)
    with pytest.raises(ValueError, match="ids 0"):
        shape_error.corresponding_error(predicted, true, np.array([0, 99]))


def test_shape_error_of_another_topology():
    mesh, true = face_grid(61, 77), face_grid(35, 41)
    place = PLACE.apply
    error = shape_error.surface_error(
        mesh.with_vertices(place(mesh.vertices)), true.vertices, place(face_landmarks()), face_landmarks()
    )
    assert error.mean < 0.15 and len(error.errors) == 35 * 41


def cylinder(radius, bottom=-100.0, top=100.0, around=720, centre=(0.0, 0.0, 900.0)):
    """A tube around the vertical through `centre`, camera frame (y down), outside counter-clockwise."""
    angle = np.linspace(0, 2 * np.pi, around, endpoint=False)
    ring = np.stack([radius * np.sin(angle), np.zeros(around), -radius * np.cos(angle)], axis=1)
    vertices = np.concatenate([ring + [0, -top, 0], ring + [0, -bottom, 0]]) + centre
    a = np.arange(around)
    b = (a + 1) % around
    triangles = np.concatenate([np.stack([a, a + around, b], 1), np.stack([b, a + around, b + around], 1)])
    return Mesh(vertices, triangles)


AXIS = benchmark.HeadAxis(np.array([0.0, 0.0, 900.0]), np.array([0.0, -1.0, 0.0]), np.array([0.0, 0.0, -1.0]))


def test_cylinder_map_of_a_tube_by_hand():
    cells = benchmark.cylinder_map(cylinder(80.0), AXIS)
    heights = (0.5 - (np.arange(256) + 0.5) / 256) * 220
    assert (cells.valid == (np.abs(heights) < 100)[:, None]).all()
    radius = np.linalg.norm((cells.points - AXIS.origin)[cells.valid][:, [0, 2]], axis=1)
    np.testing.assert_allclose(radius, 80, atol=0.001)
    middle = cells.points[128, 128] - AXIS.origin
    assert middle[2] < -79.9 and abs(middle[1] - 0.43) < 0.01  # in front, just below the middle (y is down)
    assert cells.points[128, 0][0] * np.cross(AXIS.up, AXIS.front)[0] < 0
    np.testing.assert_allclose(cells.normals[128, 128], [0, 0, -1], atol=0.02)


def test_a_wider_tube_is_its_difference_in_radius_away():
    score = benchmark.score_face(cylinder(82.0), cylinder(80.0), AXIS)
    assert score.chamfer_distance == pytest.approx(2.0, abs=2e-3)
    assert score.normal_error == pytest.approx(0.0, abs=0.01)
    assert score.completeness == 1.0


def test_half_a_tube_is_half_complete():
    score = benchmark.score_face(cylinder(80.0, bottom=0.0), cylinder(80.0), AXIS)
    assert score.completeness == pytest.approx(0.5, abs=0.01)
    assert score.chamfer_distance == pytest.approx(0, abs=1e-6)
    beside = benchmark.score_face(cylinder(80.0, bottom=101, top=105), cylinder(80.0), AXIS)
    assert beside.completeness == 0 and np.isnan(beside.chamfer_distance)


def test_only_what_the_camera_sees_counts():
    truth = cylinder(80.0)
    cells = benchmark.cylinder_map(truth, AXIS)
    seen = benchmark._seen_from_camera(truth, cells)
    # From distance 900 a tube of radius 80 is seen up to acos(80 / 900) = 84.9 degrees from the front.
    assert seen[128].sum() / 256 == pytest.approx(2 * 84.9 / 180, abs=0.01)


def test_what_something_hides_from_the_camera_does_not_count():
    tube = cylinder(80.0)
    plate = np.array([[-200.0, -200, 500], [0, -200, 500], [0, 200, 500], [-200, 200, 500]])
    triangles = np.concatenate([tube.triangles, np.array([[0, 2, 1], [0, 3, 2]]) + len(tube.vertices)])
    truth = Mesh(np.concatenate([tube.vertices, plate]), triangles)
    seen = benchmark._seen_from_camera(truth, benchmark.cylinder_map(tube, AXIS))
    left, right = (seen[128, :128].sum(), seen[128, 128:].sum())
    assert {bool(left), bool(right)} == {True, False}  # the plate stands before one half of the tube


def test_alignment_by_projection_takes_scale_from_the_pupils_and_depth_from_the_median():
    # A plate 900 mm away; the prediction is 500 times smaller and, at true size, 25 mm farther away.
    plate = Mesh(
        np.array([[-50.0, -60, 900], [50, -60, 900], [50, 60, 900], [-50, 60, 900]]),
        np.array([[0, 2, 1], [0, 3, 2]]),
    )
    pupils = np.array([[-31.425, -20, 900.0], [31.425, -20, 900.0]])
    intrinsics = np.array([[1200.0, 0, 127.5], [0, 1200, 127.5], [0, 0, 1]])
    offset = np.array([0.0, 0.0, 25.0])
    prediction = plate.with_vertices((plate.vertices + offset) / 500)
    arguments = ((pupils + offset) / 500, 2 * pupils, intrinsics, (256, 256))
    ours, theirs = benchmark.align_by_projection(
        prediction, plate.with_vertices(2 * plate.vertices), *arguments
    )
    np.testing.assert_allclose(theirs.vertices, plate.vertices)
    np.testing.assert_allclose(ours.vertices, plate.vertices, atol=1e-6)
    with pytest.raises(ValueError, match="pupils"):
        benchmark.align_by_projection(prediction, plate, pupils[[0, 0]], pupils, intrinsics, (256, 256))
    away = prediction.with_vertices(prediction.vertices + [9, 0, 0])
    with pytest.raises(ValueError, match="no pixel"):
        benchmark.align_by_projection(away, plate, pupils / 500, pupils, intrinsics, (256, 256))


def test_benchmark_means_by_yaw_and_focal_length():
    scores = [benchmark.BenchmarkScore(c, 0.1, 0.5) for c in (1.0, 2.0, 4.0, float("nan"), 9.0)]
    table = benchmark.summarise(scores, [0, -5, 20, 45, 90], [1200, 1200, 300, 300, 300]).set_index("subset")
    assert table["chamfer_distance"].to_dict() == pytest.approx(
        {
            "all": 4.0,
            "yaw 0-5": 1.0,
            "yaw 5-30": 3.0,
            "yaw 30-60": np.nan,
            "yaw 60-90": 9.0,
            "focal length 1200": 1.5,
            "focal length 300": 6.5,
        },
        nan_ok=True,
    )
    assert table["faces"].tolist() == [4, 1, 2, 0, 1, 2, 2]


@pytest.fixture
def pairs(tmp_path):
    """A table of three cases: a good one, one without a prediction, one with four points instead of five."""
    five = face_landmarks()[[0, 3, 4, 5, 6]]
    mesh, scan = face_grid(61, 77), face_grid(81, 101)
    write_obj(tmp_path / "scan.obj", scan)
    write_obj(tmp_path / "a.obj", mesh.with_vertices(PLACE.apply(mesh.vertices) * 50))
    np.savetxt(tmp_path / "scan.txt", five)
    np.save(tmp_path / "a.npy", PLACE.apply(five) * 50)
    np.savetxt(tmp_path / "four.txt", five[:4])
    rows = ["case,prediction,truth,prediction_points,truth_points"]
    rows += ["good,a.obj,scan.obj,a.npy,scan.txt", "absent,b.obj,scan.obj,a.npy,scan.txt"]
    rows += ["four,a.obj,scan.obj,four.txt,scan.txt"]
    (tmp_path / "cases.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "cases.csv"


def test_micc_over_a_table(pairs):
    score = partial(micc.score_pair, settings=MiccSettings())
    result = evaluate_pairs(pairs, score, "micc", "other")
    assert result.table["status"].tolist() == ["ok", "missing_prediction", "bad_prediction"]
    assert result.table["error"][0] < 0.05  # the same surface, sampled twice, in another frame and size
    nose = face_landmarks()[4]
    assert result.table["points"][0] == len(micc.crop_to_face(face_grid(81, 101).vertices, nose))
    summary = result.summary()
    assert (summary["scored"], summary["missing"], summary["failed"]) == (1, 1, 1)
    assert "four.txt holds 4 points" in summary["not_scored"]["four"]
    cut = partial(micc.score_pair, settings=MiccSettings(forehead=10.0))
    assert evaluate_pairs(pairs, cut, "micc", "other").table["points"][0] < result.table["points"][0]
    far = partial(micc.score_pair, settings=MiccSettings(radius=0.5))
    assert evaluate_pairs(pairs, far, "micc", "other").table["status"][0] == "bad_ground_truth"


def test_shape_error_over_a_table(pairs):
    by_surface = partial(shape_error.score_pair, task=ShapeErrorTask(cases="x"))
    result = evaluate_pairs(pairs, by_surface, "shape_error", "synthetic")
    assert result.table["status"][0] == "ok" and result.table["error"][0] < 0.05
    by_vertex = partial(shape_error.score_pair, task=ShapeErrorTask(cases="x", correspondence=True))
    found = evaluate_pairs(pairs, by_vertex, "shape_error", "synthetic")
    assert found.table["status"][0] == "bad_prediction" and "do not correspond" in found.table["reason"][0]
    write_obj(pairs.parent / "a.obj", face_grid(81, 101).with_vertices(3 * face_grid(81, 101).vertices))
    same = evaluate_pairs(pairs, by_vertex, "shape_error", "synthetic")
    assert same.table["error"][0] == pytest.approx(0, abs=1e-3)


def test_files_of_a_table_and_bad_tables(pairs, tmp_path):
    result = evaluate_pairs(pairs, lambda pair: MeshFigure(2.0, 7), "micc", "original")
    write_pairs(result, tmp_path / "s.json", tmp_path / "s.csv")
    assert json.loads((tmp_path / "s.json").read_text())["mean"] == 2.0
    assert [(f.metric, f.value) for f in figures_of(result.summary())] == [("mean", 2.0), ("std", 0.0)]
    failed = evaluate_pairs(pairs, lambda pair: 1 / 0, "micc", "original")
    assert failed.table["status"][0] == "error" and failed.summary()["mean"] is None
    for text, words in (("case,truth\na,b\n", "lacks the columns prediction"), ("", "cannot be read")):
        (tmp_path / "bad.csv").write_text(text)
        with pytest.raises(FormatError, match=words):
            evaluate_pairs(tmp_path / "bad.csv", lambda pair: MeshFigure(1.0, 1), "micc", "other")
    pairs.write_text(pairs.read_text().replace("absent,", "good,"))
    with pytest.raises(FormatError, match="names a case twice"):
        evaluate_pairs(pairs, lambda pair: MeshFigure(1.0, 1), "micc", "other")
