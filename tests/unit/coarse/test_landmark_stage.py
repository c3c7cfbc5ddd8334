"""The landmark stage: known coefficients come back, outliers and profiles do not break it."""

import math
from dataclasses import replace

import pytest
import torch

from facemill.coarse.expression_space import expression_space
from facemill.coarse.landmark_stage import DenseLandmarks, LandmarkStage, _Prior, _shape_jacobian, _State
from facemill.coarse.settings import LandmarkStageSettings
from facemill.faces.decode import FaceDecoder
from facemill.geometry.camera import deep3d_crop_camera, project_camera_points
from facemill.geometry.rotation import matrix_from_axis_angle, matrix_from_euler_deep3d
from facemill.models.coefficients import Coefficients, neutral_coefficients
from facemill.models.morphable import BilinearModel

# With this noise the prior weighs nothing, so that what comes back is limited by the solver alone.
EXACT = LandmarkStageSettings(
    noise=1e-3, mouth_noise=1e-3, contour_noise=1e-3, outlier_scale=1e6, depth_deviation=1e6, iterations=40
)


def truth(model, yaws_degrees) -> Coefficients:
    draw = torch.Generator().manual_seed(3)
    count = len(yaws_degrees)

    def normal(width, scale):
        return scale * torch.randn(count, width, generator=draw, dtype=torch.float64)

    rotation = normal(3, 0.1)
    rotation[:, 1] = torch.deg2rad(torch.tensor(yaws_degrees, dtype=torch.float64))
    return Coefficients(normal(6, 0.7), normal(4, 0.7), normal(3, 0), rotation, normal(3, 5), normal(27, 0))


def fitted(model, landmarks, settings, **arguments):
    stage = LandmarkStage(expression_space(model, 0.5, 1.0), deep3d_crop_camera(), settings)
    centre = neutral_coefficients(model, len(landmarks), dtype=torch.float64)
    return stage.fit(landmarks, centre, 1.0, pose_first=True, **arguments)


def test_perfect_landmarks_give_the_coefficients_back(toy_model):
    known = truth(toy_model, [0.0, 20.0, -35.0])
    landmarks = FaceDecoder(toy_model)(known).landmarks
    found = fitted(toy_model, landmarks, EXACT).coefficients
    # 136 numbers, 16 unknowns, no noise; the prior pulls by 1e-3 px against residuals of many px, which moves
    # well-determined coefficients by less than 1e-3 standard deviations and the distance by less than 1 mm.
    for name, tolerance in (
        ("identity", 0.01),
        ("expression", 0.01),
        ("rotation", 1e-3),
        ("translation", 1.0),
    ):
        assert (getattr(found, name) - getattr(known, name)).abs().max() < tolerance, name


def test_noisy_landmarks_are_not_followed_to_the_pixel(toy_model):
    known = truth(toy_model, [0.0] * 8)
    clean = FaceDecoder(toy_model)(known).landmarks
    noise = 2.6 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    default = LandmarkStageSettings()
    careful = fitted(toy_model, clean + noise, default).coefficients.identity
    greedy = fitted(toy_model, clean + noise, EXACT).coefficients.identity
    assert (careful - known.identity).square().mean() < (greedy - known.identity).square().mean()


def test_one_wild_landmark_changes_little(toy_model):
    known = truth(toy_model, [10.0])
    landmarks = FaceDecoder(toy_model)(known).landmarks
    wild = landmarks.clone()
    wild[0, 40] += 60
    clean, found = (fitted(toy_model, points, LandmarkStageSettings()) for points in (landmarks, wild))
    assert found.confidence[0, 40] < 0.05
    assert found.confidence[0, 30] > 0.5
    assert (found.coefficients.identity - clean.coefficients.identity).abs().max() < 0.3


@pytest.mark.parametrize("yaw", [-65.0, 65.0])
def test_profiles_converge_from_the_frontal_start(toy_model, yaw):
    known = truth(toy_model, [yaw])
    landmarks = FaceDecoder(toy_model)(known).landmarks
    found = fitted(toy_model, landmarks, LandmarkStageSettings()).coefficients
    assert math.degrees(found.rotation[0, 1].item()) == pytest.approx(yaw, abs=6)


def test_faces_do_not_mix(toy_model):
    known = truth(toy_model, [0.0, 30.0])
    landmarks = FaceDecoder(toy_model)(known).landmarks
    together = fitted(toy_model, landmarks, LandmarkStageSettings()).coefficients
    broken = landmarks.clone()
    broken[1] = torch.nan
    beside = fitted(toy_model, broken, LandmarkStageSettings()).coefficients
    torch.testing.assert_close(together.identity[0], beside.identity[0], atol=1e-9, rtol=0)


def test_prior_is_centred_at_the_start_given(toy_model):
    known = truth(toy_model, [0.0])
    landmarks = FaceDecoder(toy_model)(known).landmarks
    stage = LandmarkStage(
        expression_space(toy_model, 0.5, 1.0), deep3d_crop_camera(), LandmarkStageSettings()
    )
    centre = replace(known, lighting=known.lighting.double())
    kept = stage.fit(landmarks, centre, 0.5, pose_first=False).coefficients
    torch.testing.assert_close(kept.identity, known.identity, atol=1e-3, rtol=0)


def test_gradient_of_the_normal_equations_is_that_of_the_energy(toy_model):
    known = truth(toy_model, [15.0])
    decoded = FaceDecoder(toy_model)(known)
    vertices = tuple(range(100, 3300, 400))
    settings = LandmarkStageSettings(dense_points=4.0)
    space, camera = expression_space(toy_model, 0.5, 1.0), deep3d_crop_camera()
    stage = LandmarkStage(space, camera, settings, dense_vertices=vertices)
    dense = DenseLandmarks(
        project_camera_points(decoded.vertices[:, list(vertices)], camera.intrinsics.double()).pixels - 3.0,
        torch.linspace(0.5, 3.0, len(vertices), dtype=torch.float64)[None],
    )
    seen = stage._seen(decoded.landmarks + 2.0, dense)
    assert seen.noise[0, 68:].tolist() == pytest.approx((dense.deviation[0] * 2**0.5).tolist())
    prior = _Prior(torch.zeros(1, 6).double(), torch.zeros(1, 4).double(), 1.0, 0.8)
    state = _State(
        matrix_from_euler_deep3d(known.rotation),
        known.translation,
        known.identity,
        known.expression,
        torch.zeros(1).double(),
    )
    _, gradient = stage._normal_equations(state, seen, prior)
    step = torch.zeros(1, 16, dtype=torch.float64, requires_grad=True)
    moved = replace(
        state,
        rotation=matrix_from_axis_angle(step[:, :3]) @ state.rotation,
        translation=state.translation + step[:, 3:6],
        identity=state.identity + step[:, 6:12],
        expression=state.expression + step[:, 12:],
    )
    (expected,) = torch.autograd.grad(stage._energy(moved, seen, prior).sum() / 2, step)
    torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-6)


def test_dense_landmarks_outweigh_wrong_landmarks(toy_model):
    """Landmarks off by 6 px, dense ones exact: the fit follows the dense ones, seen in turned faces too."""
    known = truth(toy_model, [0.0, 30.0])
    decoded = FaceDecoder(toy_model)(known)
    vertices = tuple(range(50, 3300, 50))
    space, camera = expression_space(toy_model, 0.5, 1.0), deep3d_crop_camera()
    stage = LandmarkStage(space, camera, LandmarkStageSettings(), dense_vertices=vertices)
    pixels = project_camera_points(decoded.vertices[:, list(vertices)], camera.intrinsics.double()).pixels
    dense = DenseLandmarks(pixels, torch.full(pixels.shape[:2], 0.3))
    noise = 6 * torch.randn(2, 68, 2, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    centre = neutral_coefficients(toy_model, 2, dtype=torch.float64)

    def error(dense: DenseLandmarks | None) -> float:
        found = stage.fit(decoded.landmarks + noise, centre, 1.0, pose_first=True, dense=dense)
        return (found.coefficients.identity - known.identity).norm(dim=1).mean().item()

    assert error(dense) < 0.25 * error(None)


def test_jacobian_of_a_bilinear_model(toy_model):
    draw = torch.Generator().manual_seed(2)
    count = toy_model.vertex_count
    bilinear = BilinearModel(
        torch.randn(3 * count, 3, 4, generator=draw, dtype=torch.float64),
        torch.rand(4, generator=draw, dtype=torch.float64),
        torch.rand(4, generator=draw, dtype=torch.float64),
        toy_model.albedo_mean,
        toy_model.albedo_basis,
        toy_model.topology,
    )
    identity, expression = (torch.randn(1, n, generator=draw, dtype=torch.float64) for n in (4, 2))
    rows = torch.tensor([[5, 900]])
    found = _shape_jacobian(bilinear, identity, expression, rows)
    by_identity, by_expression = torch.autograd.functional.jacobian(
        lambda i, e: bilinear.shape(i, e)[0, rows[0]], (identity, expression)
    )
    expected = torch.cat((by_identity[..., 0, :], by_expression[..., 0, :]), dim=-1)
    torch.testing.assert_close(found[0], expected)
