"""Base meshes against scans: known distances, what counts, alignment, files."""

import json

import numpy as np
import pytest
from PIL import Image

from facemill.evaluation.base_mesh import compare_base_mesh, evaluate_base_mesh
from facemill.evaluation.base_mesh_settings import BaseMeshEvaluationSettings
from facemill.geometry.mesh import Mesh
from facemill.runtime.errors import FormatError

SETTINGS = BaseMeshEvaluationSettings()


def hill(height: float, reach: float = 60.0, count: int = 61) -> Mesh:
    """A round hill on a square of side 2 reach, looking along +z."""
    x, y = np.meshgrid(np.linspace(-reach, reach, count), np.linspace(-reach, reach, count))
    z = 40 * np.exp(-((x / 30) ** 2) - (y / 45) ** 2) + height
    corner = np.arange(count * count).reshape(count, count)
    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]
    triangles = np.concatenate(
        [np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)]
    )
    return Mesh(np.stack([x, y, z], axis=-1).reshape(-1, 3), triangles)


def middle(mesh: Mesh, radius: float = 35.0):
    return np.hypot(mesh.vertices[:, 0], mesh.vertices[:, 1]) < radius


def test_a_mesh_is_exactly_itself():
    base = hill(0.0)
    found = compare_base_mesh(base, middle(base), base).summary(SETTINGS)
    for figures in (found["accuracy"], found["completeness"], found["aligned"]["accuracy"]):
        assert figures["max"] < 1e-9 and figures["within"]["0.5"] == 1.0
    assert found["aligned"]["turn_degrees"] < 1e-3 and found["aligned"]["shift"] < 1e-3


def test_two_planes_are_as_far_as_they_are_and_alignment_takes_it_away():
    flat = hill(0.0)
    flat = flat.with_vertices(flat.vertices * [1, 1, 0])
    found = compare_base_mesh(flat, middle(flat), flat.with_vertices(flat.vertices + [0, 0, 2.5]))
    summary = found.summary(SETTINGS)
    for name in ("mean", "median", "p90", "p95", "max"):
        assert summary["accuracy"][name] == summary["completeness"][name] == pytest.approx(2.5)
    assert summary["accuracy"]["within"] == {"0.5": 0, "1": 0, "2": 0, "3": 1, "5": 1}
    assert summary["aligned"]["accuracy"]["max"] < 1e-6
    assert summary["aligned"]["shift"] == pytest.approx(2.5, abs=1e-3)


def test_only_the_face_counts():
    base, scan = hill(0.0), hill(1.0)
    outside = ~middle(base)
    bent = base.vertices + np.where(outside, -20.0, 0.0)[:, None] * [0, 0, 1]
    found = compare_base_mesh(base.with_vertices(bent), middle(base, 30.0), scan)
    assert found.accuracy.values.max() < 1.01 and found.completeness.values.max() < 1.01
    assert set(found.accuracy.ids) <= set(np.flatnonzero(middle(base, 30.0)))
    reached = np.hypot(*scan.vertices[found.completeness.ids, :2].T)
    assert reached.max() < 32 and len(reached) > 0.9 * middle(scan, 30.0).sum()


def test_what_the_scan_does_not_reach_is_not_counted():
    base, scan = hill(0.0), hill(0.5, reach=20.0)
    found = compare_base_mesh(base, middle(base), scan)
    assert found.accuracy.values.max() < 1.0 and found.border_vertices > 500
    assert np.abs(base.vertices[found.accuracy.ids, :2]).max() < 21


def test_something_else_near_the_face_is_not_the_face():
    base = hill(0.0)
    collar = hill(0.0).vertices * [1, 1, 0] + [0, 0, 95.0]
    scan = Mesh(
        np.concatenate([hill(0.5).vertices, collar]),
        np.concatenate([base.triangles, base.triangles + len(collar)]),
    )
    assert compare_base_mesh(base, middle(base), scan).completeness.values.max() < 30


def test_surfaces_apart_or_without_triangles_are_named():
    base = hill(0.0)
    with pytest.raises(FormatError, match="base mesh and scan lie apart"):
        compare_base_mesh(base, middle(base), base.with_vertices(base.vertices + [0, 0, 500.0]))
    with pytest.raises(FormatError, match="the scan has no surface"):
        compare_base_mesh(base, middle(base), Mesh(base.vertices, np.empty((0, 3), int)))


def files(folder):
    return folder / "result.json", folder / "heat_map.png"


def test_files_of_a_measured_capture(tmp_path):
    base = hill(0.0)
    evaluate_base_mesh("me", base, middle(base), hill(1.0), ("", ""), SETTINGS, *files(tmp_path))
    result = json.loads(files(tmp_path)[0].read_text())
    assert (result["protocol"], result["status"]) == ("base_mesh", "ok")
    assert 0.3 < result["accuracy"]["median"] < 1.0
    with Image.open(files(tmp_path)[1]) as picture:
        pixels = np.array(picture.convert("RGB")).astype(int)
    assert (pixels.max(axis=2) - pixels.min(axis=2) > 60).mean() > 0.05  # coloured


@pytest.mark.parametrize("without", ["base", "scan"])
def test_a_capture_that_cannot_be_measured_says_why(tmp_path, without):
    base = hill(0.0)
    given = (None, middle(base), base) if without == "base" else (base, middle(base), None)
    evaluate_base_mesh("me", *given, ("bad_scan", "x.ply is damaged"), SETTINGS, *files(tmp_path))
    result = json.loads(files(tmp_path)[0].read_text())
    assert result == {"protocol": "base_mesh", "status": "bad_scan", "reason": "x.ply is damaged"}
    assert files(tmp_path)[1].is_file()


def test_a_scan_elsewhere_is_a_result_not_an_end(tmp_path):
    base = hill(0.0)
    scan = base.with_vertices(base.vertices / 1000)
    evaluate_base_mesh("me", base, middle(base), scan, ("", ""), SETTINGS, *files(tmp_path))
    result = json.loads(files(tmp_path)[0].read_text())
    assert result["status"] == "bad_scan" and "me: base mesh and scan lie apart" in result["reason"]
