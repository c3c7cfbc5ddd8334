"""Linear and bilinear models on a handful of vertices, and the topology they share."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck

from facemill.models.coefficients import Coefficients, neutral_coefficients
from facemill.models.morphable import BilinearModel, LinearModel
from facemill.models.topology import Topology

VERTICES = 5


def topology(**changes) -> Topology:
    values = {
        "triangles": torch.tensor([[0, 1, 2], [1, 3, 2], [2, 3, 4]]),
        "uv": torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.5, 0.9], [0.1, 0.2]]),
        "uv_triangles": torch.tensor([[0, 1, 2], [1, 3, 2], [5, 3, 4]]),
        "landmarks68": torch.arange(68) % VERTICES,
        "contour_candidates": torch.tensor([[4, 2, 0, -1]]).repeat(17, 1),
        "now_landmarks": torch.tensor([0, 1, 2, 3, 4, 0, 1]),
        "regions": {"face": torch.tensor([True, True, False, True, False])},
    }
    return Topology(**{**values, **changes})


def linear(dtype: torch.dtype = torch.float64) -> LinearModel:
    random = torch.Generator().manual_seed(3)
    basis = [torch.randn(count, VERTICES, 3, generator=random, dtype=dtype) for count in (4, 2, 3)]
    means = [torch.randn(VERTICES, 3, generator=random, dtype=dtype) for _ in range(2)]
    names, coefficients = ("jawOpen", "mouthPucker"), torch.tensor([[2.0, 0.5], [-1.0, 3.0]], dtype=dtype)
    return LinearModel(means[0], basis[0], basis[1], means[1], basis[2], topology(), names, coefficients)


def bilinear() -> BilinearModel:
    random = torch.Generator().manual_seed(4)
    core = torch.randn(3 * VERTICES, 3, 4, generator=random, dtype=torch.float64)
    means = torch.randn(4, generator=random, dtype=torch.float64)
    deviations = torch.rand(4, generator=random, dtype=torch.float64) + 0.5
    albedo = torch.rand(VERTICES, 3, dtype=torch.float64)
    return BilinearModel(core, means, deviations, albedo, albedo.new_zeros(0, VERTICES, 3), topology())


def test_linear_shape_adds_each_component_by_its_coefficient():
    model = linear()
    identity = torch.tensor([[0.0, 2.0, 0.0, 0.0]], dtype=torch.float64)
    expression = torch.tensor([[0.0, -3.0]], dtype=torch.float64)
    expected = model.mean_shape + 2 * model.identity_basis[1] - 3 * model.expression_basis[1]
    torch.testing.assert_close(model.shape(identity, expression)[0], expected)


def test_albedo_adds_to_its_mean_and_is_not_clipped():
    model = linear()
    shown = model.albedo(torch.tensor([[0.0, 0.0, 100.0]], dtype=torch.float64))[0]
    torch.testing.assert_close(shown, model.albedo_mean + 100 * model.albedo_basis[2])
    assert shown.max() > 1


def test_bilinear_shape_is_the_triple_sum():
    model = bilinear()
    identity = torch.tensor([[0.3, -1.0, 2.0, 0.7]], dtype=torch.float64)
    expression = torch.tensor([[0.4, -0.6]], dtype=torch.float64)
    expected = np.zeros(3 * VERTICES)
    for slot, share in enumerate([1.0, 0.4, -0.6]):
        for person in range(4):
            weight = model.identity_mean[person] + model.identity_deviation[person] * identity[0, person]
            expected += share * float(weight) * model.core[:, slot, person].numpy()
    found = model.shape(identity, expression)
    np.testing.assert_allclose(found.numpy().ravel(), expected, atol=1e-12)


@given(st.lists(st.floats(-3, 3), min_size=6, max_size=6))
def test_expression_zero_is_neutral_and_faces_of_a_batch_do_not_mix(values):
    model = linear()
    numbers = torch.tensor(values, dtype=torch.float64)
    identity, expression = numbers[None, :4], numbers[None, 4:]
    together = model.shape(identity.repeat(2, 1), torch.cat([expression * 0, expression]))
    neutral = model.mean_shape + torch.einsum("k,kvc->vc", identity[0], model.identity_basis)
    torch.testing.assert_close(together[0], neutral)
    torch.testing.assert_close(together[1], model.shape(identity, expression)[0])


@pytest.mark.parametrize("model", [linear(), bilinear()], ids=["linear", "bilinear"])
def test_gradients(model):
    identity = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    expression = torch.randn(2, 2, dtype=torch.float64, requires_grad=True)
    assert gradcheck(model.shape, (identity, expression))


@pytest.mark.parametrize("model", [linear(), bilinear()], ids=["linear", "bilinear"])
def test_subset_shows_the_same_vertices_in_the_order_given(model):
    identity, expression = torch.randn(1, 4).double(), torch.randn(1, 2).double()
    ids = torch.tensor([3, 0, 2])
    part = model.subset(ids)
    torch.testing.assert_close(part.shape(identity, expression), model.shape(identity, expression)[:, ids])
    torch.testing.assert_close(part.albedo_mean, model.albedo_mean[ids])


def test_subset_keeps_whole_triangles_and_marks_lost_landmarks():
    part = topology().subset(torch.tensor([3, 1, 2]))
    assert part.triangles.tolist() == [[1, 0, 2]]
    assert part.uv.tolist() == [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    assert part.uv_triangles.tolist() == [[0, 2, 1]]
    assert part.landmarks68[:5].tolist() == [-1, 1, 2, 0, -1]
    assert part.contour_candidates[0].tolist() == [2, -1, -1, -1]
    assert part.now_landmarks.tolist() == [-1, 1, 2, 0, -1, -1, 1]
    assert part.regions["face"].tolist() == [True, True, False]


def test_subset_by_mask_equals_subset_by_ids():
    mask = torch.tensor([True, False, True, True, True])
    by_mask, by_ids = topology().subset(mask), topology().subset(torch.tensor([0, 2, 3, 4]))
    assert by_mask.triangles.tolist() == by_ids.triangles.tolist() == [[1, 2, 3]]


def test_expression_of_names():
    model = linear()
    found = model.expression_of({"jawOpen": 0.5, "mouthPucker": 2.0})
    assert found.tolist() == [[0.5 * 2.0 + 2.0 * -1.0, 0.5 * 0.5 + 2.0 * 3.0]]
    with pytest.raises(ValueError, match=r"jawShut.*jawOpen, mouthPucker"):
        model.expression_of({"jawShut": 1.0})


def test_to_changes_the_dtype_of_numbers_and_not_of_ids():
    model = linear().to(dtype=torch.float32)
    assert model.identity_basis.dtype == model.blendshape_coefficients.dtype == torch.float32
    assert model.topology.triangles.dtype == torch.int64


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.shape(torch.zeros(1, 3), torch.zeros(1, 2)), r"identity: expected shape \(B, 4\)"),
        (lambda m: m.shape(torch.zeros(1, 4), torch.zeros(1, 5)), r"expression: expected shape \(B, 2\)"),
        (lambda m: m.shape(torch.zeros(1, 4), torch.zeros(2, 2)), "one batch size, found 1 and 2"),
        (lambda m: m.albedo(torch.zeros(1, 2)), r"albedo coefficients: expected shape \(B, 3\)"),
        (lambda m: m.subset(torch.tensor([1, 1])), "distinct ids, found 1 repeated"),
        (lambda m: m.subset(torch.tensor([5])), r"ids in 0..4, found 5..5"),
        (lambda m: m.subset(torch.zeros(4, dtype=torch.bool)), r"a \(5,\) mask, found \(4,\)"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(linear())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"landmarks68": torch.zeros(67, dtype=torch.int64)}, r"landmarks68: expected shape \(68,\)"),
        ({"triangles": torch.tensor([[0, 1, 9]] * 3)}, r"triangles: expected ids in 0..4, found 0..9"),
        ({"uv_triangles": torch.zeros(2, 3, dtype=torch.int64)}, "like triangles"),
        ({"regions": {}}, "at least one named"),
        ({"contour_candidates": torch.full((17, 1), -2)}, "ids in -1..4, found -2..-2"),
    ],
)
def test_wrong_topologies_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        topology(**changes)


def test_a_model_of_another_vertex_count_is_refused():
    model = linear()
    with pytest.raises(ValueError, match=r"identity_basis: expected shape \(n, 5, 3\)"):
        LinearModel(
            model.mean_shape, torch.zeros(1, 4, 3), model.expression_basis, model.albedo_mean,
            model.albedo_basis, model.topology,
        )  # fmt: skip


def test_neutral_coefficients_fit_the_model():
    found = neutral_coefficients(linear(), batch=3)
    assert len(found) == 3
    assert (
        found.identity.shape == (3, 4) and found.expression.shape == (3, 2) and found.albedo.shape == (3, 3)
    )
    assert found.lighting.shape == (3, 27) and not found.rotation.any()


def test_select_and_detach_keep_every_field():
    values = {
        name: torch.randn(3, width) for name, width in (("identity", 4), ("expression", 2), ("albedo", 3))
    }
    values |= {
        "rotation": torch.randn(3, 3),
        "translation": torch.randn(3, 3),
        "lighting": torch.randn(3, 27),
    }
    values["identity"].requires_grad_()
    picked = Coefficients(**values).detach().select(torch.tensor([2]))
    assert not picked.identity.requires_grad
    torch.testing.assert_close(picked.translation, values["translation"][2:])


def test_coefficients_of_other_widths_are_refused():
    fields = {"identity": torch.zeros(2, 4), "expression": torch.zeros(2, 2), "albedo": torch.zeros(2, 3)}
    with pytest.raises(ValueError, match=r"lighting: expected \(B, 27\), found \(2, 9\)"):
        Coefficients(
            **fields, rotation=torch.zeros(2, 3), translation=torch.zeros(2, 3), lighting=torch.zeros(2, 9)
        )
    with pytest.raises(ValueError, match=r"rotation: expected shape \(2, n\)"):
        Coefficients(
            **fields, rotation=torch.zeros(1, 3), translation=torch.zeros(2, 3), lighting=torch.zeros(2, 27)
        )
