"""Surfaces against scans: squares and spheres with known distances."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.transform import Rotation

from facemill.evaluation.scans import evaluate_scan, on_border, vertex_areas, weighted_quantile, write_scan
from facemill.evaluation.settings import ScanSettings
from facemill.evaluation.surface_index import LibiglIndex
from facemill.geometry.mesh import Mesh
from facemill.runtime.errors import FormatError
from unit.evaluation.analytic_face import face_grid

SETTINGS = ScanSettings()


def square(x0, x1, y0, y1, z, cells=4, slope=0.0):
    """A grid over a rectangle at height z + slope x."""
    x, y = np.meshgrid(np.linspace(x0, x1, cells + 1), np.linspace(y0, y1, cells + 1))
    vertices = np.stack([x, y, z + slope * x], axis=-1).reshape(-1, 3)
    i = np.arange((cells + 1) ** 2).reshape(cells + 1, -1)
    a, b, c, d = (part.ravel() for part in (i[:-1, :-1], i[:-1, 1:], i[1:, :-1], i[1:, 1:]))
    return Mesh(vertices, np.concatenate([np.stack([a, b, d], 1), np.stack([a, d, c], 1)]))


def test_parallel_squares_by_hand():
    # The prediction reaches 1 mm beyond the scan on every side and is 0.3 mm above it.
    comparison = evaluate_scan(square(-11, 11, -11, 11, 0.3, 22), square(-10, 10, -10, 10, 0), SETTINGS)
    np.testing.assert_allclose(comparison.accuracy, 0.3, atol=1e-12)
    np.testing.assert_allclose(comparison.completeness, 0.3, atol=1e-12)
    assert comparison.border_vertices == 23**2 - 19**2  # those beyond or above the rim
    summary = comparison.summary(SETTINGS, "other")
    assert summary["chamfer"] == pytest.approx({"mean": 0.3, "median": 0.3, "p90": 0.3})
    assert summary["within"] == {"0.1": 0.0, "0.2": 0.0, "0.5": 1.0, "1": 1.0}
    assert summary["normal_error"] == pytest.approx({"mean": 0.0, "median": 0.0}, abs=1e-5)
    json.dumps(summary, allow_nan=False)


def test_what_the_prediction_lacks_is_incompleteness():
    # The prediction covers x <= 0 only; the farthest scan point is 10 mm away, 1/2 of the area is covered.
    comparison = evaluate_scan(square(-10, 0, -10, 10, 0, 20), square(-10, 10, -10, 10, 0, 20), SETTINGS)
    summary = comparison.summary(SETTINGS, "other")
    assert summary["accuracy"]["mean"] == 0
    # distances max(x, 0) at x = -10..10, the outer columns with half weight: (1 + .. + 9 + 5) / 20
    assert summary["completeness"]["mean"] == pytest.approx(50 / 20)
    assert summary["completeness"]["within"]["0.1"] == pytest.approx(0.525)
    capped = evaluate_scan(
        square(-10, 0, -10, 10, 0, 20), square(-10, 10, -10, 10, 0, 20), ScanSettings(max_distance=4.0)
    )
    assert capped.completeness.max() == 4.0


def test_normal_error_of_a_tilted_square_and_of_a_flipped_one():
    tilted = evaluate_scan(
        square(-10, 10, -10, 10, 0, slope=np.tan(np.radians(20))), square(-9, 9, -9, 9, 0), SETTINGS
    )
    np.testing.assert_allclose(tilted.normal_errors, 20, atol=1e-4)
    flat = square(-10, 10, -10, 10, 0)
    flipped = evaluate_scan(Mesh(flat.vertices, flat.triangles[:, ::-1]), square(-9, 9, -9, 9, 0), SETTINGS)
    np.testing.assert_allclose(flipped.normal_errors, 180, atol=1e-3)


def test_a_surface_is_at_distance_zero_from_itself():
    face = face_grid(31, 37)
    comparison = evaluate_scan(face, face, SETTINGS)
    assert comparison.accuracy.max() < 1e-10 and comparison.completeness.max() < 1e-10
    assert comparison.normal_errors.max() < 0.1


@settings(max_examples=10)
@given(factor=st.floats(0.2, 5), angles=st.tuples(*[st.floats(-3, 3)] * 3))
def test_distances_scale_with_the_meshes_and_do_not_turn(factor, angles):
    turn = Rotation.from_rotvec(angles).as_matrix()
    first, second = face_grid(15, 18), face_grid(21, 25)
    plain = evaluate_scan(first, second, SETTINGS)
    moved = evaluate_scan(
        first.with_vertices(factor * first.vertices @ turn.T + 5.0),
        second.with_vertices(factor * second.vertices @ turn.T + 5.0),
        SETTINGS,
    )
    np.testing.assert_allclose(moved.completeness, factor * plain.completeness, atol=1e-6)
    np.testing.assert_allclose(moved.normal_errors, plain.normal_errors, atol=1e-4)


def test_a_finer_mesh_is_no_other_sample():
    coarse = square(-10, 10, -10, 10, 0, 4, slope=0.1)
    left, right = square(-10, 0, -10, 10, 0, 40, slope=0.1), square(0, 10, -10, 10, 0, 2, slope=0.1)
    uneven = Mesh(
        np.concatenate([left.vertices, right.vertices]),
        np.concatenate([left.triangles, right.triangles + 41**2]),
    )
    flat = square(-12, 12, -12, 12, 0)
    even, mixed = (
        evaluate_scan(flat, scan, SETTINGS).summary(SETTINGS, "other") for scan in (coarse, uneven)
    )
    assert mixed["completeness"]["mean"] == pytest.approx(even["completeness"]["mean"], rel=0.12)


def test_weighted_quantiles_and_areas_by_hand():
    values, weights = np.array([4.0, 1.0, 2.0]), np.array([1.0, 1.0, 2.0])
    assert [weighted_quantile(values, weights, share) for share in (0.25, 0.5, 0.75, 0.9)] == [1, 2, 2, 4]
    triangle = Mesh(np.array([[0.0, 0, 0], [6, 0, 0], [0, 4, 0], [9, 9, 9]]), np.array([[0, 1, 2]]))
    np.testing.assert_allclose(vertex_areas(triangle), [4, 4, 4, 0])


def test_border_points_by_hand():
    surface = LibiglIndex(square(0, 2, 0, 2, 0, 2).vertices, square(0, 2, 0, 2, 0, 2).triangles)
    queries = np.array([[-1.0, 0.5, 0], [1, 1, 3], [0.5, 0.2, 1], [3, 3, 0], [1, 0.5, 1], [2.5, 1, 0]])
    assert on_border(surface, surface.closest(queries)).tolist() == [True, False, False, True, False, True]


def test_other_units_frames_and_empty_surfaces_are_named():
    face = face_grid(15, 18)
    metres = face.with_vertices(face.vertices / 1000)
    with pytest.raises(FormatError, match=r"(?s)a\.obj and b\.ply do not belong together.*same unit"):
        evaluate_scan(metres, face, SETTINGS, ("a.obj", "b.ply"))
    with pytest.raises(FormatError, match="do not belong together"):
        evaluate_scan(face.with_vertices(face.vertices + 900), face, SETTINGS)
    with pytest.raises(FormatError, match=r"b\.ply has no surface"):
        evaluate_scan(face, Mesh(face.vertices, np.zeros((0, 3), int)), SETTINGS, ("a.obj", "b.ply"))
    with pytest.raises(FormatError, match="lies beside"):
        evaluate_scan(face.with_vertices(face.vertices + [160, 0, 0]), face, SETTINGS)


def test_files_are_written(tmp_path):
    scan = face_grid(31, 37)
    comparison = evaluate_scan(scan.with_vertices(scan.vertices + [0, 0, 0.2]), scan, SETTINGS)
    paths = [tmp_path / name for name in ("one.json", "one.svg", "one.png")]
    write_scan(comparison, scan, SETTINGS, "synthetic", "one", *paths)
    summary = json.loads(paths[0].read_text())
    assert summary["origin"] == "synthetic" and 0.1 < summary["chamfer"]["median"] <= 0.2
    assert "accuracy" in paths[1].read_text()
    assert np.asarray(Image.open(paths[2])).std() > 10
