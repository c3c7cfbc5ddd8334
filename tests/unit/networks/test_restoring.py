"""Networks are restored whole or refused by name."""

import pytest
import torch
from torch import nn

from facemill.networks.restoring import restore, spec_from_header
from facemill.runtime.errors import FormatError


def read_width(header: dict[str, str]) -> int:
    width = int(header["width"])
    if width < 1:
        raise ValueError(f"width: expected 1 or more, found {width}")
    return width


def test_headers_are_read_and_others_refused_with_the_reason():
    assert spec_from_header("a.safetensors", {"width": "3"}, read_width) == 3
    for header, reason in [
        ({}, "KeyError"),
        ({"width": "x"}, "invalid literal"),
        ({"width": "0"}, "found 0"),
    ]:
        with pytest.raises(FormatError, match=reason) as raised:
            spec_from_header("a.safetensors", header, read_width, "train it again")
        assert "a.safetensors" in str(raised.value) and "train it again" in str(raised.value)


def test_weights_fill_a_network_and_other_names_and_shapes_are_refused():
    weights = {"weight": torch.full((2, 3), 2.0), "bias": torch.ones(2)}
    network = restore(nn.Linear(3, 2), "a.safetensors", weights, "linear")
    assert network(torch.ones(1, 3)).tolist() == [[7, 7]]
    assert network.weight.data_ptr() != weights["weight"].data_ptr()
    for changed in ({"bias": torch.ones(3)}, {"more": torch.ones(1)}):
        with pytest.raises(FormatError, match=f"1 that differ, first {next(iter(changed))}"):
            restore(nn.Linear(3, 2), "a.safetensors", weights | changed, "linear")
    with pytest.raises(FormatError, match="first bias"):
        restore(nn.Linear(3, 2), "a.safetensors", {"weight": weights["weight"]}, "linear")


def test_a_network_without_memory_takes_the_tensors_themselves():
    """The published networks of hundreds of megabytes are not made twice."""
    with torch.device("meta"):
        network = nn.Linear(3, 2)
    weights = {"weight": torch.rand(2, 3), "bias": torch.rand(2)}
    restore(network, "a.safetensors", weights, "linear")
    assert network.weight.data_ptr() == weights["weight"].data_ptr() and network.weight.requires_grad
