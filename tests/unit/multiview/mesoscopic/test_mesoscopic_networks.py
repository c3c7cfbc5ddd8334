"""The networks of the mesoscopic stage: layers counted by hand, files that fit and files that do not."""

import pytest
import torch

from facemill.multiview.mesoscopic.compact_network import CompactNetwork
from facemill.multiview.mesoscopic.discriminator import (
    MultiscaleDiscriminator,
    feature_distance,
    verdict_distance,
)
from facemill.multiview.mesoscopic.network_files import load_network, make_network, save_network
from facemill.multiview.mesoscopic.published_network import PublishedNetwork
from facemill.multiview.mesoscopic.spec import INPUT_CHANNELS, MesoscopicSpec, channels
from facemill.runtime.errors import FormatError

SMALL = MesoscopicSpec("compact", size=64, limit=0.5, widths=(4, 6, 8), pixel=0.3)
TINY = MesoscopicSpec("published", base_width=2, halvings=4, blocks=9)


def published_shapes(width: int = 64) -> dict[str, tuple[int, ...]]:
    """Names and shapes of pix2pixHD's global generator, 3 in, 1 out, written down layer by layer."""
    shapes: dict[str, tuple[int, ...]] = {"model.1": (width, 3, 7, 7)}
    for number, place in enumerate((4, 7, 10, 13)):
        shapes[f"model.{place}"] = (width << (number + 1), width << number, 3, 3)
    for place in range(16, 25):
        for convolution in (1, 5):
            shapes[f"model.{place}.conv_block.{convolution}"] = (16 * width, 16 * width, 3, 3)
    for number, place in enumerate((25, 28, 31, 34)):
        shapes[f"model.{place}"] = (16 * width >> number, 8 * width >> number, 3, 3)  # transposed: in, out
    shapes["model.38"] = (1, width, 7, 7)
    transposed = {f"model.{place}" for place in (25, 28, 31, 34)}
    named = {f"{name}.weight": shape for name, shape in shapes.items()}
    named |= {f"{name}.bias": (shape[1 if name in transposed else 0],) for name, shape in shapes.items()}
    return named


def stand_in(width: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        name: 0.1 * torch.randn(shape, generator=generator) for name, shape in published_shapes(width).items()
    }


def inputs(side: int, seed: int = 0) -> torch.Tensor:
    return torch.rand((1, INPUT_CHANNELS, side, side), generator=torch.Generator().manual_seed(seed))


def test_compact_network_starts_with_no_relief_and_stays_within_its_limit():
    torch.manual_seed(0)
    network = CompactNetwork(SMALL)
    output = network(inputs(32))
    assert output.shape == (1, 2, 32, 32)
    assert torch.all(output[:, 0] == 0) and torch.allclose(output[:, 1], network.prior.expand(1, 32, 32))
    with torch.no_grad():
        network.end.bias.fill_(1e6)
    pushed = network(inputs(32))
    assert torch.allclose(pushed[:, 0], torch.tensor(0.5)) and torch.isfinite(pushed).all()
    assert torch.allclose(pushed[:, 1], network.prior + 3.0)


def test_compact_network_refuses_other_sides():
    network = CompactNetwork(SMALL)
    with pytest.raises(ValueError, match="multiples of 8"):
        network(inputs(28))
    with pytest.raises(ValueError, match="expected compact"):
        CompactNetwork(TINY)


def test_confidence_is_the_share_of_the_error_that_is_gone():
    network = CompactNetwork(SMALL)
    network.floor.fill_(0.0)
    network.span.fill_(1.0)
    output = torch.zeros((1, 2, 16, 16))
    output[:, 1] = torch.log(torch.tensor(0.05))
    assert torch.allclose(network.confidence_of(output), torch.zeros(()), atol=1e-6)  # says 0: nothing gained
    output[:, 0] = 0.1  # wrong by 0.1 + 0.05 e^-2 = 0.10677 without it, by 0.05 with it
    assert torch.allclose(network.confidence_of(output), torch.tensor(1 - 0.05 / 0.10676676), atol=1e-5)


def test_published_generator_has_the_names_and_shapes_of_the_paper():
    with torch.device("meta"):
        network = PublishedNetwork(MesoscopicSpec("published"))
    found = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert found == published_shapes()
    assert sum(value.numel() for value in network.parameters()) == 182_436_993


def test_published_generator_computed_once_more_by_hand():
    network = PublishedNetwork(MesoscopicSpec("published", limit=0.914, base_width=2, halvings=1, blocks=1))
    weights = dict(network.state_dict())
    maps = inputs(8, 3)
    f = torch.nn.functional
    places = {"first": "model.1", "down": "model.4", "up": "model.8", "last": "model.12"}
    assert {f"{place}.weight" for place in places.values()} <= set(weights)

    def layer(values, name, pad, **options):
        wide = f.pad(values, (pad,) * 4, mode="reflect") if pad else values
        return f.conv2d(wide, weights[f"{name}.weight"], weights[f"{name}.bias"], **options)

    x = f.relu(f.instance_norm(layer(2 * maps[:, channels("colour")] - 1, "model.1", 3)))
    x = f.relu(f.instance_norm(layer(x, "model.4", 0, stride=2, padding=1)))
    y = f.relu(f.instance_norm(layer(x, "model.7.conv_block.1", 1)))
    x = x + f.instance_norm(layer(y, "model.7.conv_block.5", 1))
    up = weights["model.8.weight"], weights["model.8.bias"]
    x = f.relu(f.instance_norm(f.conv_transpose2d(x, *up, stride=2, padding=1, output_padding=1)))
    expected = 0.914 * torch.tanh(layer(x, "model.12", 3))
    assert torch.allclose(network(maps), expected, atol=1e-6)


def test_official_generator_weights_load(tmp_path):
    torch.save(stand_in(2), tmp_path / "latest_net_G.pth")
    network = load_network(tmp_path / "latest_net_G.pth")
    assert (network.spec.base_width, network.spec.halvings, network.spec.blocks) == (2, 4, 9)
    found = network(inputs(32))
    assert found.shape == (1, 1, 32, 32) and found.abs().max() <= 0.914 and found.std() > 0
    wrapped = {f"module.{name}": value for name, value in stand_in(2).items()}
    torch.save(wrapped, tmp_path / "wrapped.pth")
    assert torch.equal(load_network(tmp_path / "wrapped.pth")(inputs(32)), found)


def test_official_weights_of_full_size_load_without_a_copy(tmp_path):
    shapes = published_shapes()
    small = {name: torch.zeros(shape, dtype=torch.int8) for name, shape in shapes.items()}  # 0.2 GB
    torch.save(small, tmp_path / "full.pth")
    network = load_network(tmp_path / "full.pth")
    assert network.spec == MesoscopicSpec("published")
    assert {name: tuple(v.shape) for name, v in network.state_dict().items()} == shapes


@pytest.mark.parametrize("change", ["missing", "shape", "other"])
def test_other_weights_are_refused(tmp_path, change):
    weights = stand_in(2)
    if change == "missing":
        del weights["model.24.conv_block.5.bias"]
    elif change == "shape":
        weights["model.38.weight"] = torch.zeros(3, 2, 7, 7)
    else:
        weights = {"features.0.weight": torch.zeros(2)}
    torch.save(weights, tmp_path / "wrong.pth")
    with pytest.raises(FormatError, match="pix2pixHD"):
        load_network(tmp_path / "wrong.pth")


def test_code_in_a_weights_file_is_refused(tmp_path):
    torch.save({"model.1.weight": torch.nn.Linear(2, 2)}, tmp_path / "code.pth")
    with pytest.raises(FormatError, match="refused"):
        load_network(tmp_path / "code.pth")


@pytest.mark.parametrize("spec", [SMALL, TINY])
def test_own_weights_come_back(tmp_path, spec):
    torch.manual_seed(1)
    network = make_network(spec).eval()
    with torch.no_grad():
        for value in network.parameters():
            value.copy_(value.half().float())
    save_network(tmp_path / "a.safetensors", network, {"step": "7"})
    save_network(tmp_path / "b.safetensors", network, {"step": "7"})
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    again = load_network(tmp_path / "a.safetensors")
    assert again.spec == spec and torch.equal(again(inputs(32)), network(inputs(32)))
    (tmp_path / "torn.safetensors").write_bytes((tmp_path / "a.safetensors").read_bytes()[:-9])
    with pytest.raises(FormatError, match="safetensors"):
        load_network(tmp_path / "torn.safetensors")


def test_discriminator_judges_patches_at_two_scales():
    torch.manual_seed(0)
    judge = MultiscaleDiscriminator(5, width=4, layers=2, scales=2)
    found = [[one.detach() for one in features] for features in judge(torch.rand(1, 5, 32, 32))]
    assert [features[-1].shape[-1] for features in found] == [11, 7]  # 32 -> 17 -> 9 -> 10 -> 11
    assert [len(features) for features in found] == [4, 4]
    assert float(feature_distance(found, found)) == 0
    verdicts = [[torch.zeros(1), torch.full((1, 1, 2, 2), 0.25)], [torch.zeros(1), torch.full((1, 1), 0.5)]]
    assert float(verdict_distance(verdicts, 1.0)) == pytest.approx((0.75**2 + 0.5**2) / 2)
    shifted = [[features[0] + 0.5, features[1]] for features in verdicts]
    assert float(feature_distance(shifted, verdicts)) == pytest.approx(0.5)
