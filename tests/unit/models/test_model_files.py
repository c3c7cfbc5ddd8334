"""Model files are read as they were written, and wrong files are refused by name."""

import numpy as np
import pytest
import torch

from facemill.models.files import load_model, save_model
from facemill.models.morphable import BilinearModel, LinearModel
from facemill.models.topology import Topology
from facemill.runtime.errors import FormatError
from facemill.runtime.files import load_arrays, save_arrays


def topology() -> Topology:
    return Topology(
        triangles=torch.tensor([[0, 1, 2], [1, 3, 2]]),
        uv=torch.rand(4, 2),
        uv_triangles=torch.tensor([[0, 1, 2], [1, 3, 2]]),
        landmarks68=torch.arange(68) % 4,
        contour_candidates=torch.tensor([[3, 1, -1]]).repeat(17, 1),
        now_landmarks=torch.arange(7) % 4,
        regions={
            "face": torch.tensor([True, False, True, True]),
            "lips": torch.tensor([False, False, True, False]),
        },
    )


def linear() -> LinearModel:
    torch.manual_seed(0)
    shapes = torch.randn(4, 3), torch.randn(2, 4, 3), torch.randn(1, 4, 3)
    colours = torch.rand(4, 3), torch.rand(3, 4, 3)
    return LinearModel(*shapes, *colours, topology(), ("jawOpen",), torch.tensor([[1.5]]))


def bilinear() -> BilinearModel:
    torch.manual_seed(1)
    return BilinearModel(
        torch.randn(12, 3, 2),
        torch.randn(2),
        torch.rand(2),
        torch.rand(4, 3),
        torch.zeros(0, 4, 3),
        topology(),
    )


def test_a_linear_model_survives(tmp_path):
    model = linear()
    save_model(tmp_path / "model.npz", model)
    read = load_model(tmp_path / "model.npz")
    assert isinstance(read, LinearModel)
    for name in ("mean_shape", "identity_basis", "expression_basis", "albedo_mean", "albedo_basis"):
        assert torch.equal(getattr(read, name), getattr(model, name)), name
    assert read.blendshape_names == ("jawOpen",) and read.blendshape_coefficients.tolist() == [[1.5]]
    for name in ("triangles", "uv", "uv_triangles", "landmarks68", "contour_candidates", "now_landmarks"):
        assert torch.equal(getattr(read.topology, name), getattr(model.topology, name)), name
    assert list(read.topology.regions) == ["face", "lips"]
    assert torch.equal(read.topology.regions["lips"], model.topology.regions["lips"])


def test_a_bilinear_model_survives(tmp_path):
    model = bilinear()
    save_model(tmp_path / "model.npz", model)
    read = load_model(tmp_path / "model.npz")
    assert isinstance(read, BilinearModel)
    identity, expression = torch.randn(1, 2), torch.randn(1, 2)
    torch.testing.assert_close(read.shape(identity, expression), model.shape(identity, expression))


def test_half_bases_lose_little_and_leave_the_mean_alone(tmp_path):
    model = linear()
    save_model(tmp_path / "model.npz", model, half_bases=True)
    read = load_model(tmp_path / "model.npz")
    assert torch.equal(read.mean_shape, model.mean_shape)
    torch.testing.assert_close(read.identity_basis, model.identity_basis, rtol=1e-3, atol=1e-3)
    assert not torch.equal(read.identity_basis, model.identity_basis)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": np.array("facemill-head-1")}, "not a file of format facemill-model-1"),
        ({"kind": np.array("cubic")}, "unknown kind of model"),
        ({"mean_shape": np.zeros((5, 3), np.float32)}, "arrays that fit together"),
        ({"uv": None}, "lacks uv"),
    ],
)
def test_wrong_files_are_refused(tmp_path, change, message):
    path = tmp_path / "model.npz"
    save_model(path, linear())
    arrays = {key: value for key, value in {**load_arrays(path), **change}.items() if value is not None}
    save_arrays(path, arrays)
    with pytest.raises(FormatError, match=message):
        load_model(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FormatError, match=r"nothing\.npz"):
        load_model(tmp_path / "nothing.npz")
