"""The rule fit_base_mesh: the model, its derivatives, the fits, and whole captures with their mistakes."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from facemill.formats.base_meshes import read_base_mesh, write_base_meshes
from facemill.formats.captures import refused_capture, write_capture
from facemill.geometry.closest_point import closest_points
from facemill.models.morphable import BilinearModel
from facemill.multiview.base_mesh.face_model import FaceModel
from facemill.multiview.base_mesh.fit import capture_files, fit_base_mesh
from facemill.multiview.base_mesh.landmark_fit import CaptureLandmarks, LandmarkFit
from facemill.multiview.base_mesh.settings import FitBaseMeshSettings, MatchPass
from facemill.multiview.base_mesh.state import Equations, PersonState, Placed, Prior, stepped, world_jacobian
from facemill.multiview.landmark_settings import TriangulateSettings
from facemill.multiview.triangulate import ViewReport, landmarks_of_faces, nothing, write_landmarks
from facemill.photos.landmarks import MIRRORED_68
from stand_ins.toy_model import make_toy_model
from unit.multiview.rig_toys import faces_of, make_rig, write_rig

PASSES = (
    MatchPass(reach=8.0, step=1.0, samples=8.0, patch=1.5, landmarks=0.3, stiffness=40.0),
    MatchPass(reach=3.0, step=0.5, samples=5.0, patch=1.0, landmarks=0.1, stiffness=15.0),
)
SETTINGS = FitBaseMeshSettings(landmark_convention="model", passes=PASSES)
NO_OFFSETS = torch.zeros(68, 3, dtype=torch.float64)


@dataclass(frozen=True)
class Space:
    """Expression coefficients as they are."""

    model: object
    lower: float = -np.inf
    upper: float = np.inf
    deviation: float = 1.0

    def coefficients(self, unknowns):
        return unknowns


def toy_bilinear() -> BilinearModel:
    linear = make_toy_model()
    count = linear.vertex_count
    random = torch.Generator().manual_seed(2)
    neutral = torch.cat([linear.mean_shape.reshape(-1, 1), linear.identity_basis.flatten(1).T], dim=1)
    slots = [neutral]
    for basis in linear.expression_basis:
        per_person = 1 + 0.1 * torch.randn(1, neutral.shape[1], generator=random, dtype=torch.float64)
        slots.append(basis.reshape(-1, 1) * per_person * torch.tensor([1.0] + [0.1] * 6))
    core = torch.stack(slots, dim=1)
    mean = torch.tensor([1.0] + [0.0] * 6, dtype=torch.float64)
    deviation = torch.tensor([1e-3] + [1.0] * 6, dtype=torch.float64)
    empty = linear.albedo_mean.new_zeros(0, count, 3)
    return BilinearModel(core, mean, deviation, linear.albedo_mean, empty, linear.topology)


MODELS = {"linear": make_toy_model, "bilinear": toy_bilinear}


@pytest.mark.parametrize("kind", MODELS)
class TestFaceModel:
    def test_vertices_are_the_models(self, kind):
        model = MODELS[kind]()
        random = np.random.default_rng(1)
        identity = random.standard_normal(model.identity_count)
        expression = random.standard_normal(model.expression_count)
        expected = model.shape(torch.tensor(identity)[None], torch.tensor(expression)[None])[0].numpy()
        face = FaceModel(model)
        assert np.abs(face.vertices(identity, expression) - expected).max() < 1e-3
        ids = np.array([7, 100, 3])
        assert np.abs(face.vertices(identity, expression, ids) - expected[ids]).max() < 1e-3

    def test_jacobian_of_the_world_is_the_derivative(self, kind):
        face = FaceModel(MODELS[kind]())
        random = np.random.default_rng(2)
        placed = Placed(
            np.linalg.qr(random.standard_normal((3, 3)))[0] * 1.0,
            np.array([10.0, -20, 300]),
            1.7,
            random.standard_normal(face.expression_count),
            np.zeros((face.vertex_count, 3)),
        )
        state = PersonState(random.standard_normal(face.identity_count), (placed,))
        ids = np.array([50, 900])
        jacobian = world_jacobian(face, state, 0, ids, state.head(face, 0)[ids])
        size = jacobian.shape[2]
        identity, expression = face.identity_count, face.expression_count
        for column in range(size):
            step = np.zeros(size)
            step[column] = 1e-6 if column < 7 else 0.1  # the rest is linear, in single precision
            moved = replace(
                state,
                identity=state.identity + step[7 : 7 + identity],
                captures=(placed.moved(np.concatenate([step[:7], step[7 + identity :]])),),
            )
            numeric = (moved.world(face, 0)[ids] - state.world(face, 0)[ids]) / step[column]
            assert np.allclose(numeric, jacobian[..., column], atol=2e-3), column
        assert size == 7 + identity + expression


def landmarks_of(rig, noise=0.0, known=True):
    found = landmarks_of_faces(
        rig.capture,
        range(len(rig.views)),
        faces_of(rig, noise),
        MIRRORED_68,
        TriangulateSettings(noise=0.001),
    )
    use = [n for n, view in enumerate(found.views) if view.status == "ok"]
    return CaptureLandmarks(found.points, found.covariance, rig.cameras[use], found.detections[use], known)


def fitted(rigs, known=True, noise=0.3, settings=None):
    face = FaceModel(rigs[0].model)
    settings = settings or FitBaseMeshSettings(landmark_noise=0.3, contour_noise=20.0)
    fit = LandmarkFit(face, NO_OFFSETS.numpy(), settings)
    captures = [landmarks_of(rig, noise, known) for rig in rigs]
    prior = Prior(1.0, -np.inf, np.inf, tuple([known] * len(rigs)))
    state, covariance = fit.fit(captures, fit.start(captures), prior)
    return face, fit, captures, state, covariance


def test_landmarks_place_and_shape_the_head():
    rig = make_rig(6)
    face, fit, captures, state, _ = fitted([rig])
    ids = rig.model.topology.landmarks68.numpy()[17:]
    error = np.linalg.norm(state.world(face, 0)[ids] - rig.vertices[ids], axis=1)
    mean = LandmarkFit(face, NO_OFFSETS.numpy(), SETTINGS).start(captures)
    before = np.linalg.norm(mean.world(face, 0)[ids] - rig.vertices[ids], axis=1)
    assert np.median(error) < 0.5 < 2 < np.median(before)
    assert np.abs(state.captures[0].rotation - rig.rotation).max() < 0.03
    assert fit.residuals(captures[0], state, 0).max() < 2


def test_one_person_has_one_identity():
    first = make_rig(5, seed=1)
    second = make_rig(5, seed=2, expression=np.array([-0.5, 0.8, 0.4, 0.0]))
    face, _, _, state, covariance = fitted([first, second])
    alone = fitted([first])[4]
    for number, rig in enumerate((first, second)):
        ids = rig.model.topology.landmarks68.numpy()[17:]
        assert np.median(np.linalg.norm(state.world(face, number)[ids] - rig.vertices[ids], axis=1)) < 0.6
    count = len(state.identity)
    assert np.diag(covariance)[:count].sum() < np.diag(alone)[:count].sum()


def test_an_unknown_unit_is_found_from_the_model_with_its_uncertainty():
    rig = make_rig(6, unit=0.01)
    _, _, _, state, covariance = fitted([rig], known=False)
    assert state.captures[0].scale == pytest.approx(0.01, rel=0.06)
    count = len(state.identity)
    deviation = np.sqrt(covariance[count + 6, count + 6])
    assert 0.0005 < deviation < 0.2
    known = fitted([make_rig(6)])[4]
    assert known[count + 6, count + 6] == 0


def test_expressions_stay_within_their_bounds():
    rig = make_rig(5)
    face = FaceModel(rig.model)
    fit = LandmarkFit(face, NO_OFFSETS.numpy(), SETTINGS)
    captures = [landmarks_of(rig)]
    state, _ = fit.fit(captures, fit.start(captures), Prior(1.0, 0.0, 0.25, (True,)))
    assert state.captures[0].expression.min() == 0 and state.captures[0].expression.max() <= 0.25


def test_a_step_without_evidence_goes_to_the_prior():
    face = FaceModel(make_toy_model())
    placed = Placed(np.eye(3), np.zeros(3), 1.0, np.full(4, 0.7), np.zeros((face.vertex_count, 3)))
    state = PersonState(np.full(6, 2.0), (placed,))
    size = 7 + 6 + 4
    empty = [Equations(1e-9 * np.eye(size), np.zeros(size))]
    moved, covariance = stepped(state, empty, Prior(0.5, -1.0, 1.0, (True,)))
    assert np.allclose(moved.identity, 0, atol=1e-5) and np.allclose(
        moved.captures[0].expression, 0, atol=1e-5
    )
    assert np.allclose(np.diag(covariance)[:6], 1, atol=1e-5)
    assert np.allclose(np.diag(covariance)[13:], 0.25, atol=1e-5)


def prepared(folder, rig, shifts=None, noise=1.0, drop=(), told="profile", **changes):
    """A capture on disk with its landmarks; returns the paths of the rule."""
    write_rig(folder, rig, shifts, **changes)
    moved = faces_of(rig, noise)
    found = landmarks_of_faces(
        replace(rig.capture, **changes), range(len(rig.views)), moved, MIRRORED_68, TriangulateSettings()
    )
    for view in found.views:
        if view.name in drop:
            view.status, view.reason = told, "told so by the test"
    write_landmarks(found, folder / "landmarks.npz", folder / "landmarks.json")
    return str(folder / "capture.json"), str(folder / "landmarks.npz"), str(folder / "landmarks.json")


def run(paths, settings=SETTINGS, model=None, names=None):
    names = names or [f"c{n}" for n in range(len(paths))]
    files = capture_files(names, *(list(part) for part in zip(*paths, strict=True)))
    return fit_base_mesh(files, Space(model or make_toy_model()), NO_OFFSETS, settings)


def distance(mesh, rig, inner=50.0):
    """Median mm from the true surface's front to the mesh."""
    front = np.abs(rig.head[:, 0]) < inner
    return float(
        np.median(
            closest_points(rig.vertices[front], mesh.vertices, rig.model.topology.triangles.numpy()).distances
        )
    )


def bulged(rig):
    """A head with a bump that no coefficients express."""
    bump = 2.5 * np.exp(-(((rig.head - [25.0, -20, 0]) / [18, 18, 1e3]) ** 2).sum(axis=1))
    out = np.array([0.3, 0, 0.95])
    head = rig.head + bump[:, None] * out
    return replace(rig, head=head, vertices=head @ rig.rotation.T + rig.shift)


def test_photos_show_what_landmarks_do_not(tmp_path):
    rig = bulged(make_rig(6))
    paths = [prepared(tmp_path / "a", rig)]
    meshes, reports = run(paths)
    alone, _ = run(paths, SETTINGS.model_copy(update={"image_evidence": False}))
    with_photos, without = distance(meshes[0], rig), distance(alone[0], rig)
    assert with_photos < 0.3 and with_photos < 0.65 * without
    assert reports["c0"]["status"] == "ok" and reports["c0"]["image_evidence"]["found"] > 100
    assert np.abs(meshes[0].offset).max() > 0.5 and np.abs(alone[0].offset).max() == 0
    assert np.median(meshes[0].deviation) < np.median(alone[0].deviation)
    again, _ = run(paths)
    assert np.array_equal(again[0].vertices, meshes[0].vertices)


def test_files_are_those_of_the_format(tmp_path):
    rig = make_rig(3)
    paths = [prepared(tmp_path / "a", rig)]
    meshes, reports = run(paths, names=["one"])
    write_base_meshes(tmp_path / "p.npz", tmp_path / "p.json", "p", meshes, reports)
    read = read_base_mesh(tmp_path / "p.npz", tmp_path / "p.json", "one")
    mesh = read.mesh
    head = rig.model.shape(torch.tensor(mesh.identity)[None], torch.tensor(mesh.expression)[None])[0].numpy()
    world = mesh.scale * (head + mesh.offset) @ mesh.rotation.T + mesh.translation
    assert np.abs(world - mesh.vertices).max() < 1e-3
    assert read.report["unit"] == {"millimetres": 1.0, "deviation": 0.0, "source": "given"}


def test_a_view_of_something_else_is_dropped(tmp_path):
    rig = make_rig(6)
    # Its landmarks are told to be a profile's, so that only its picture can tell that the head moved.
    paths = [prepared(tmp_path / "a", rig, shifts={4: rig.rotation @ [14.0, 18, 0]}, drop=("v4",))]
    meshes, reports = run(paths)
    assert reports["c0"]["dropped_views"] == ["v4"]
    told = {view["name"]: view for view in reports["c0"]["views"]}
    assert told["v4"]["status"] == "moved" and "agrees" in told["v4"]["reason"]
    assert told["v4"]["agreement"] < told["v0"]["agreement"]
    assert distance(meshes[0], rig) < 0.4


@pytest.mark.parametrize("shift", [0.0, 16.0])
def test_pictures_tell_whether_views_with_strange_landmarks_moved(tmp_path, shift):
    rig = make_rig(6)
    shifts = {3: rig.rotation @ [shift, shift, 0]}
    meshes, reports = run([prepared(tmp_path / "a", rig, shifts=shifts, drop=("v3",), told="moved")])
    told = {view["name"]: view for view in reports["c0"]["views"]}
    if shift:
        assert reports["c0"]["dropped_views"] == ["v3"] and told["v3"]["reason"] == "told so by the test"
    else:
        assert reports["c0"]["dropped_views"] == [] and "its picture agrees" in told["v3"]["reason"]
        assert told["v3"]["status"] == "ok"
    assert distance(meshes[0], rig) < 0.4


def test_two_views_give_a_mesh_that_is_less_certain(tmp_path):
    many, two = make_rig(6), make_rig(2)
    best, _ = run([prepared(tmp_path / "a", many)])
    meshes, reports = run([prepared(tmp_path / "b", two)])
    assert reports["c0"]["status"] == "ok" and distance(meshes[0], two) < 1.5
    assert np.median(meshes[0].deviation) > np.median(best[0].deviation)


def test_a_capture_that_cannot_go_on_does_not_stop_the_others(tmp_path):
    rig = make_rig(4)
    good = prepared(tmp_path / "a", rig)
    bad = tmp_path / "b"
    bad.mkdir()
    write_capture(bad / "capture.json", refused_capture("no_cameras", "photos alone"))
    write_landmarks(
        nothing("no_cameras", "photos alone", [ViewReport("x")]),
        bad / "landmarks.npz",
        bad / "landmarks.json",
    )
    wrong = tuple(str(bad / name) for name in ("capture.json", "landmarks.npz", "landmarks.json"))
    meshes, reports = run([wrong, good], names=["bad", "good"])
    assert [mesh.capture for mesh in meshes] == ["good"]
    assert reports["bad"]["status"] == "no_cameras" and reports["bad"]["reason"] == "photos alone"
    assert distance(meshes[0], rig) < 0.5
    nobody, told = run([wrong], names=["bad"])
    assert nobody == [] and told["bad"]["status"] == "no_cameras"
    json.dumps(told, allow_nan=False)


def test_landmarks_of_no_face_are_refused(tmp_path):
    rig = make_rig(4)
    good = prepared(tmp_path / "a", rig)
    wrong = prepared(tmp_path / "b", rig)
    arrays = dict(np.load(wrong[1]))
    order = np.r_[:17, np.random.default_rng(0).permutation(np.arange(17, 68))]
    for name, axis in (("points", 0), ("covariance", 0), ("inliers", 0), ("detections", 1)):
        arrays[name] = np.take(arrays[name], order, axis=axis)
    np.savez(wrong[1], **arrays)
    meshes, reports = run([wrong, good], names=["wrong", "good"])
    assert reports["wrong"]["status"] == "fit_failed" and "not those of a face" in reports["wrong"]["reason"]
    assert [mesh.capture for mesh in meshes] == ["good"] and distance(meshes[0], rig) < 0.5


def test_unknown_unit_and_bilinear_model_through_the_rule(tmp_path):
    rig = make_rig(5, unit=0.02)
    paths = [prepared(tmp_path / "a", rig, unit_mm=None, unit_source="unknown")]
    meshes, reports = run(paths, model=toy_bilinear())
    unit = reports["c0"]["unit"]
    assert unit["source"] == "model" and unit["millimetres"] == pytest.approx(50, rel=0.08)
    assert 0.0005 < unit["deviation"] < 0.2
    assert distance(meshes[0], rig) / 0.02 < 0.5  # in the world of the capture, where its photos are
