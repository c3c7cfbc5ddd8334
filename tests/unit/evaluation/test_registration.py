"""Aligning a surface to a scan: known optimum, wide convergence, exact derivative."""

import importlib.machinery
import importlib.util
import sys
import types

import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from facemill.evaluation import registration
from facemill.evaluation.registration import barycentric_weights, measure, register
from facemill.evaluation.surface_index import LibiglIndex, index_surface
from facemill.geometry.similarity import Similarity
from facemill.runtime.errors import ConfigurationError
from unit.evaluation.analytic_face import face_grid

# The prediction is stored 25 times smaller, turned and shifted.
TRUTH = Similarity(25.0, Rotation.from_rotvec([0.4, -0.7, 0.2]).as_matrix(), np.array([12.0, -30.0, 410.0]))


def brute_force_distances(points: np.ndarray, vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Point-to-triangle distances over all pairs, written without trees (Ericson 2005, section 5.1.5)."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    best = np.full(len(points), np.inf)
    normal = np.cross(b - a, c - a)
    area = (normal**2).sum(1)
    for i, p in enumerate(points):
        offset = ((p - a) * normal).sum(1) / area
        foot = p - offset[:, None] * normal
        inside = np.ones(len(a), dtype=bool)
        for start, end in ((a, b), (b, c), (c, a)):
            inside &= (np.cross(end - start, foot - start) * normal).sum(1) >= 0
            edge = end - start
            along = np.clip(((p - start) * edge).sum(1) / (edge**2).sum(1), 0, 1)
            best[i] = min(best[i], np.linalg.norm(p - start - along[:, None] * edge, axis=1).min())
        plane = np.abs(offset[inside]) * np.sqrt(area[inside])
        best[i] = min(best[i], plane.min(initial=np.inf))
    return best


def stored(mesh, truth=TRUTH):
    """The mesh in the prediction's frame."""
    return LibiglIndex(truth.inverse().apply(mesh.vertices), mesh.triangles)


def turned(similarity, axis, degrees, scale, centre):
    """`similarity` followed by a turn and a growth about `centre`."""
    turn = Rotation.from_rotvec(np.radians(degrees) * np.asarray(axis) / np.linalg.norm(axis)).as_matrix()
    shift = scale * turn @ (similarity.translation - centre) + centre
    return Similarity(similarity.scale * scale, turn @ similarity.rotation, shift)


def noisy_scan(count=67, sigma=0.3, seed=3):
    points = face_grid(count, count + 11).vertices
    points = points[np.linalg.norm(points - [0, -1, 80], axis=1) < 70]
    return points + np.random.default_rng(seed).normal(0, sigma, points.shape)


def test_distances_equal_a_brute_force_computation():
    mesh, points = face_grid(17, 22), noisy_scan(31, 2.0)[:150]
    expected = brute_force_distances(points, mesh.vertices, mesh.triangles)
    np.testing.assert_allclose(measure(points, stored(mesh), TRUTH), expected, rtol=0, atol=1e-9)
    result = register(points, stored(mesh), TRUTH)
    moved = result.scan_from_prediction.apply(TRUTH.inverse().apply(mesh.vertices))
    np.testing.assert_allclose(
        result.distances, brute_force_distances(points, moved, mesh.triangles), rtol=0, atol=1e-9
    )


def test_points_on_the_surface_are_found_exactly():
    mesh = face_grid(40, 50)
    corners = mesh.vertices[mesh.triangles[100:3000:3]]
    weights = np.random.default_rng(0).dirichlet([1, 1, 1], len(corners))
    points = (corners * weights[:, :, None]).sum(axis=1)
    start = turned(TRUTH, [1, 2, -1], 8, 1.08, points.mean(axis=0))
    result = register(points, stored(mesh), start, tolerance=1e-7)
    assert result.converged
    assert result.distances.max() < 1e-5
    np.testing.assert_allclose(result.scan_from_prediction.matrix, TRUTH.matrix, rtol=0, atol=1e-3)


@pytest.mark.parametrize("axis", [[1, 0, 0], [0, -1, 0], [0.2, 0.3, 1]], ids=["pitch", "yaw", "roll"])
@pytest.mark.parametrize("scale", [1.0, 1.5, 1 / 1.5])
def test_it_converges_from_thirty_degrees_and_another_size(axis, scale):
    points, mesh = noisy_scan(), face_grid(45, 56)
    best = register(points, stored(mesh), TRUTH, tolerance=1e-4)
    start = turned(TRUTH, axis, 30, scale, points.mean(axis=0))
    result = register(points, stored(mesh), start)
    assert result.converged
    assert np.median(result.distances) == pytest.approx(np.median(best.distances), rel=2e-3)
    assert result.distances.mean() == pytest.approx(best.distances.mean(), rel=2e-3)


def test_no_other_optimiser_finds_a_lower_sum_of_squares():
    points, mesh = noisy_scan(41), face_grid(45, 56)
    surface = stored(mesh)
    result = register(points, surface, turned(TRUTH, [1, 1, 0], 5, 1.05, points.mean(axis=0)), tolerance=1e-6)
    found, centre = result.scan_from_prediction, points.mean(axis=0)

    def distances(x):
        turn = Rotation.from_rotvec(x[:3]).as_matrix()
        growth = np.exp(x[6])
        shift = growth * turn @ (found.translation - centre) + centre + x[3:6]
        return measure(points, surface, Similarity(found.scale * growth, turn @ found.rotation, shift))

    other = least_squares(
        distances, np.zeros(7), xtol=1e-12, ftol=1e-12, x_scale=[0.01, 0.01, 0.01, 1, 1, 1, 0.01]
    )
    assert (result.distances**2).sum() <= 2 * other.cost * (1 + 1e-7)


def test_without_scale_the_scale_stays():
    points, mesh = noisy_scan(), face_grid(45, 56)
    larger = Similarity(TRUTH.scale * 1.03, TRUTH.rotation, TRUTH.translation)
    result = register(points, stored(mesh), larger, with_scale=False)
    assert result.scan_from_prediction.scale == larger.scale
    assert result.distances.mean() > 1.1 * register(points, stored(mesh), larger).distances.mean()


def test_distances_do_not_depend_on_the_frame_or_unit_of_the_prediction():
    points, mesh = noisy_scan(41), face_grid(45, 56)
    other = Similarity(1e-3, Rotation.from_rotvec([2.0, 1.0, -0.4]).as_matrix(), np.array([3.0, 2.0, 1.0]))
    first = register(points, stored(mesh), TRUTH, tolerance=1e-6)
    second = register(points, stored(mesh, other), other, tolerance=1e-6)
    np.testing.assert_allclose(first.distances, second.distances, rtol=0, atol=1e-5)


def test_barycentric_weights_of_face_edge_corner_and_of_a_triangle_without_area():
    surface = LibiglIndex(
        np.array([[0.0, 0, 0], [4, 0, 0], [0, 2, 0], [8, 0, 0]]), np.array([[0, 1, 2], [0, 1, 3]])
    )
    closest = surface.closest(np.array([[1.0, 0.5, 3], [2, -1, 0.5], [-3, -2, 0]]))
    np.testing.assert_allclose(
        barycentric_weights(surface, closest._replace(triangle_ids=np.zeros(3, int))),
        [[0.5, 0.25, 0.25], [0.5, 0.5, 0], [1, 0, 0]],
        atol=1e-12,
    )
    flat = closest._replace(triangle_ids=np.ones(3, int))
    assert np.isfinite(barycentric_weights(surface, flat)).all()


def test_too_few_points_are_refused():
    with pytest.raises(ValueError, match="at least 7"):
        register(np.zeros((6, 3)), stored(face_grid(5, 5)), TRUTH)


def test_an_index_refuses_what_has_no_surface():
    with pytest.raises(ValueError, match="no surface"):
        index_surface(np.zeros((3, 3)), np.zeros((0, 3), int))
    with pytest.raises(ValueError, match="finite"):
        index_surface(np.array([[0, 0, np.nan], [1, 0, 0], [0, 1, 0]]), np.array([[0, 1, 2]]))


def test_psbody_is_asked_for_by_name_when_it_is_missing(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match="psbody"):
        index_surface(np.eye(3), np.array([[0, 1, 2]]), "psbody")


class StandInMesh:
    """What PsbodyIndex uses of psbody.mesh.Mesh, with the shapes that package returns."""

    def __init__(self, v, f):
        self.inner = LibiglIndex(v, f)

    def compute_aabb_tree(self):
        return self

    def nearest(self, points):
        found = self.inner.closest(points)
        return found.triangle_ids.astype(np.uint32)[None], found.points


def test_psbody_gives_the_same_distances(monkeypatch):
    if importlib.util.find_spec("psbody") is None:
        monkeypatch.setitem(sys.modules, "psbody", types.ModuleType("psbody"))
        sys.modules["psbody"].__spec__ = importlib.machinery.ModuleSpec("psbody", None)
        monkeypatch.setitem(sys.modules, "psbody.mesh", types.SimpleNamespace(Mesh=StandInMesh))
    points, mesh = noisy_scan(41), face_grid(45, 56)
    start = Similarity(1.0, np.eye(3), np.zeros(3))
    first, second = (
        register(points, index_surface(mesh.vertices, mesh.triangles, engine), start)
        for engine in ("libigl", "psbody")
    )
    np.testing.assert_allclose(first.distances, second.distances, rtol=0, atol=1e-6)


def test_the_closed_form_of_the_metric_equals_the_sum_over_points():
    arms = np.random.default_rng(4).normal(3, 20, (50, 3))
    rows = np.concatenate([registration._rows(arms, np.broadcast_to(axis, arms.shape)) for axis in np.eye(3)])
    np.testing.assert_allclose(registration._metric(arms), rows.T @ rows, rtol=1e-10, atol=1e-8)
