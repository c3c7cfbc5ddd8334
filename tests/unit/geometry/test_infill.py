"""Push-pull: known values stay, gaps get something in between."""

import pytest
import torch

from facemill.geometry.infill import push_pull


@pytest.mark.parametrize("size", [(16, 16), (13, 7), (1, 5), (6, 1)])
def test_a_constant_fills_everything(size: tuple[int, int]) -> None:
    weights = torch.zeros(size)
    weights[0, 0] = 1
    values = torch.where(weights[..., None] > 0, torch.tensor([3.0, -2.0]), torch.tensor(99.0))
    filled = push_pull(values, weights)
    assert torch.allclose(filled, torch.tensor([3.0, -2.0]).expand(*size, 2), atol=1e-5)


def test_known_values_stay_and_the_gap_lies_between() -> None:
    values = torch.zeros(32, 32, 1)
    values[:, 24:] = 1
    weights = torch.zeros(32, 32)
    weights[:, :8] = 1
    weights[:, 24:] = 1
    filled = push_pull(values, weights)
    assert torch.equal(filled[weights > 0], values[weights > 0])
    gap = filled[:, 8:24]
    assert gap.min() >= 0 and gap.max() <= 1
    assert filled[:, 8].mean() < 0.3 < 0.7 < filled[:, 23].mean()


def test_nothing_known_gives_zero_and_wrong_shapes_are_named() -> None:
    assert (push_pull(torch.ones(4, 4, 1), torch.zeros(4, 4)) == 0).all()
    with pytest.raises(ValueError, match="weights"):
        push_pull(torch.ones(4, 4, 1), torch.zeros(4, 5))
