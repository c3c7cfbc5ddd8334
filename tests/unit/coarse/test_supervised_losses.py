"""Losses that need the truth: the quadratic form against its definition, hand values, gradients, descent."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from facemill.coarse.losses.perceptual import identity_distance
from facemill.coarse.losses.supervised import (
    dense_landmark_surprise,
    rotation_distance,
    shape_distance,
    shape_form,
    similarity_moves,
    strength_distance,
    translation_distance,
)

float64 = torch.float64


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=float64)


@pytest.fixture
def form():
    """40 vertices on a bumpy plane, 5 identity modes."""
    mean = torch.cat((60 * drawn(40, 2), 5 * drawn(40, 1, seed=1)), dim=1)
    normals = torch.nn.functional.normalize(0.2 * drawn(40, 3, seed=2) + torch.tensor([0.0, 0.0, 1.0]), dim=1)
    basis = drawn(5, 40, 3, seed=3)
    return shape_form(mean, normals, basis), mean, normals, basis


def distance(form, identity, shape):
    best, floor = form.targets(shape)
    return shape_distance(identity, best, floor, form.gram)


def by_definition(mean, normals, basis, identity, shape):
    """min over similarities of the weighted squares, by least squares on the written-out system."""
    error = mean + torch.einsum("k,krc->rc", identity, basis) - shape
    moves = similarity_moves(mean)

    def rows(field):
        along = (field * normals).sum(-1, keepdim=True)
        return torch.cat((along * normals, math.sqrt(0.1) * (field - along * normals)), dim=-1).flatten()

    system = torch.stack([rows(move) for move in moves], dim=1)
    target = rows(error)
    rest = target - system @ torch.linalg.lstsq(system, target[:, None]).solution[:, 0]
    return rest.square().sum() / len(mean)


def test_the_form_is_its_definition(form):
    prepared, mean, normals, basis = form
    shapes = mean + drawn(3, 40, 3, seed=5)
    identity = drawn(3, 5, seed=6)
    expected = [by_definition(mean, normals, basis, identity[b], shapes[b]) for b in range(3)]
    torch.testing.assert_close(distance(prepared, identity, shapes), torch.stack(expected))


def test_one_vertex_moved_by_hand():
    # A cube: moving one corner along its normal by 8 leaves 8^2 / 8 = 8 before the similarity is taken out.
    signs = torch.tensor([-1.0, 1.0], dtype=float64)
    cube = 10 * torch.cartesian_prod(signs, signs, signs)
    normals = cube / math.sqrt(300)
    form = shape_form(cube, normals, torch.zeros(1, 8, 3, dtype=float64) + 1e-3 * drawn(1, 8, 3))
    moved = cube.clone()
    moved[7] += 8 * normals[7]
    error = distance(form, torch.zeros(1, 1, dtype=float64), moved[None]).item()
    # A similarity explains some: a scaling of all eight corners, and a shift along the diagonal. With the
    # error only along normals: scaling explains 8^2/8/8 = 1; the rest stays between 8 / 2 and 7.
    assert 3 < error < 7
    assert error == pytest.approx(by_definition(
        cube, normals, torch.zeros(1, 8, 3, dtype=float64), torch.zeros(1, dtype=float64), moved
    ).item(), rel=1e-6)  # fmt: skip


def test_tangential_errors_count_a_tenth():
    # On a plane, vertices moved alternately along it or across it; neither looks like a similarity.
    points = torch.cartesian_prod(torch.arange(10.0), torch.arange(10.0)).double()
    mean = torch.cat((points, torch.zeros(100, 1, dtype=float64)), dim=1)
    normals = torch.tensor([0.0, 0.0, 1.0], dtype=float64).expand(100, 3)
    sign = torch.where(points.sum(1) % 2 > 0, 1.0, -1.0).double()
    form = shape_form(mean, normals, 1e-3 * drawn(2, 100, 3))
    zero = torch.zeros(1, 2, dtype=float64)
    errors = []
    for axis in (0, 2):
        moved = mean.clone()
        moved[:, axis] += 2 * sign
        errors.append(distance(form, zero, moved[None]).item())
    assert errors[1] == pytest.approx(4.0, rel=0.02)
    assert errors[0] == pytest.approx(0.4, rel=0.02)


def test_similarities_cost_nothing(form):
    prepared, mean, _, _ = form
    zero = torch.zeros(7, 5, dtype=float64)
    shapes = mean + 3 * similarity_moves(mean)
    assert distance(prepared, zero, shapes).abs().max() < 1e-9


def test_a_vertex_counts_by_its_area(form):
    _, mean, normals, basis = form
    moved = mean.clone()
    moved[3] += 5 * normals[3]
    zero = torch.zeros(1, 5, dtype=float64)
    areas = torch.ones(40, dtype=float64)
    areas[3] = 1e-6
    assert distance(shape_form(mean, normals, basis, areas), zero, moved[None]) < 1e-4
    assert distance(shape_form(mean, normals, basis, 7 * torch.ones(40)), zero, moved[None]) == pytest.approx(
        distance(shape_form(mean, normals, basis), zero, moved[None]).item()
    )


def test_best_coefficients_recover_a_shape_of_the_model_and_the_floor_is_0(form):
    prepared, mean, _, basis = form
    truth = drawn(2, 5, seed=9)
    best, floor = prepared.targets(mean + torch.einsum("bk,krc->brc", truth, basis))
    torch.testing.assert_close(best, truth)
    assert floor.max() < 1e-9


def test_descent_on_the_shape_alone_reaches_the_floor(form):
    prepared, mean, _, _ = form
    best, floor = prepared.targets(mean + 2 * drawn(1, 40, 3, seed=12))
    identity = torch.zeros(1, 5, dtype=float64, requires_grad=True)
    first = shape_distance(identity, best, floor, prepared.gram).item()
    optimiser = torch.optim.Adam([identity], lr=0.2)
    for _ in range(300):
        optimiser.zero_grad()
        shape_distance(identity, best, floor, prepared.gram).sum().backward()
        optimiser.step()
    last = shape_distance(identity, best, floor, prepared.gram).item()
    assert last < first
    assert last == pytest.approx(floor.item(), rel=1e-3)


def test_strengths_and_translation_by_hand():
    predicted, true = torch.tensor([[0.5, 0.0, 1.0]]), torch.tensor([[0.0, 0.0, 0.9]])
    assert strength_distance(predicted, true).item() == pytest.approx(0.26)
    found = translation_distance(torch.tensor([[1.0, 2.0, 10.0]]), torch.zeros(1, 3))
    assert found.item() == pytest.approx(6)


def test_dense_landmark_surprise_by_hand_and_its_best_deviation():
    pixels = torch.tensor([[[0.0, 0.0], [3.0, 4.0]]], dtype=float64)
    deviation = torch.tensor([[1.0, 5.0]], dtype=float64)
    found = dense_landmark_surprise(pixels, deviation, torch.zeros_like(pixels))
    assert found.tolist() == pytest.approx([(0 + 0.5 + 2 * math.log(5)) / 2])
    # Who errs by (3, 4), a mean square of 12.5 per axis, does best to say sqrt(12.5).
    spread = torch.linspace(2, 6, 4001, dtype=float64)[:, None]
    errors = torch.tensor([[[3.0, 4.0]]], dtype=float64).expand(4001, 1, 2)
    surprise = dense_landmark_surprise(errors, spread, torch.zeros_like(errors))
    assert spread[surprise.argmin()].item() == pytest.approx(12.5**0.5, abs=2e-3)


def test_rotation_is_the_squared_angle_when_small_and_bounded_when_large():
    none = torch.zeros(3, 3, dtype=float64)
    turned = torch.tensor([[0.0, 0.02, 0.0], [0.0, 0.0, math.pi], [math.pi / 2, 0.0, 0.0]], dtype=float64)
    found = rotation_distance(turned, none)
    # 2 (1 - cos) = 4 sin^2(a / 2)
    assert found.tolist() == pytest.approx([4 * math.sin(0.01) ** 2 * 1, 4.0, 2.0])


def test_identity_distance_by_hand():
    a = torch.tensor([[3.0, 4.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    b = torch.tensor([[6.0, 8.0], [0.0, 2.0], [-2.0, -2.0], [1.0, 0.0]])
    assert identity_distance(a, b).tolist() == pytest.approx([0, 1, 2, 1], abs=1e-6)


def test_gradients(form):
    prepared, mean, _, _ = form
    best, floor = prepared.targets(mean + drawn(2, 40, 3, seed=5))
    other = drawn(2, 3, seed=8)
    for function, argument in (
        (lambda x: shape_distance(x, best, floor, prepared.gram), drawn(2, 5)),
        (lambda x: strength_distance(x, other), drawn(2, 3)),
        (lambda x: rotation_distance(x, other), drawn(2, 3)),
        (lambda x: translation_distance(x, other), drawn(2, 3)),
        (lambda x: dense_landmark_surprise(x, other.abs() + 1, drawn(2, 3, 2)), drawn(2, 3, 2, seed=1)),
        (lambda x: identity_distance(x, other), drawn(2, 3)),
    ):
        assert gradcheck(function, argument.requires_grad_())
