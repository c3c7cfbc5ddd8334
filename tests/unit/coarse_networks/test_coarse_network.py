"""R-Net: torchvision's names, Deep3D's heads, a forward pass by hand, files of ours and of others."""

import os
import pickle

import pytest
import torch
from torch import nn
from torch.nn.functional import batch_norm, conv2d, max_pool2d

from facemill.coarse.networks.coarse_network import (
    DEEP3D_SPEC,
    CoarseNetwork,
    NetworkSpec,
    bounded,
    coefficients_of,
    network_pictures,
    prediction_of,
    spec_for,
)
from facemill.coarse.networks.files import load_backbone, load_network, save_deep3d, save_network
from facemill.coarse.networks.resnet import ResNet
from facemill.formats.checkpoints import read_pickled
from facemill.models.morphable import LinearModel
from facemill.models.topology import REGION_NAMES, Topology
from facemill.runtime.errors import FormatError

SMALL = NetworkSpec(5, 4, 3, backbone="resnet18", width=8)


def randomised(network: nn.Module, seed: int = 3) -> nn.Module:
    """Every parameter and every running statistic drawn, in evaluation mode."""
    draw = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5, generator=draw)
        elif value.is_floating_point():
            fan = value[0].numel() if value.ndim > 1 else 25
            value.normal_(0, (2 / fan) ** 0.5, generator=draw)
        if value.ndim == 1 and ".weight" in name:
            value.add_(1)
    return network.eval()


def model_with(identity: int, expression: int, albedo: int, blendshapes: int = 0) -> LinearModel:
    """A morphable model of 4 vertices with these counts."""
    draw = torch.Generator().manual_seed(1)
    triangles = torch.tensor([[0, 1, 2], [0, 2, 3]])
    regions = {name: torch.ones(4, dtype=torch.bool) for name in REGION_NAMES}
    topology = Topology(
        triangles, torch.zeros(4, 2), triangles, torch.zeros(68, dtype=torch.int64),
        torch.zeros(17, 1, dtype=torch.int64), torch.zeros(7, dtype=torch.int64), regions,
    )  # fmt: skip

    def basis(count: int) -> torch.Tensor:
        return torch.randn(count, 4, 3, generator=draw)

    names = tuple(f"shape{number}" for number in range(blendshapes))
    strengths = torch.randn(blendshapes, expression, generator=draw)
    return LinearModel(
        torch.zeros(4, 3), basis(identity), basis(expression), torch.zeros(4, 3), basis(albedo), topology,
        names, strengths,
    )  # fmt: skip


def test_parameters_bear_the_names_and_shapes_of_torchvision():
    state = ResNet("resnet50", outputs=1000).state_dict()
    # Shapes of resnet50-0676ba61.pth: 25,557,032 parameters, 267 with their running means and variances,
    # and a counter for each of the 53 norms.
    assert sum(v.numel() for n, v in state.items() if "running" not in n and "num_b" not in n) == 25_557_032
    assert len(state) == 267 + 53
    for name, shape in {
        "conv1.weight": (64, 3, 7, 7),
        "bn1.running_var": (64,),
        "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "layer1.0.downsample.1.bias": (256,),
        "layer2.3.conv2.weight": (128, 128, 3, 3),
        "layer3.5.bn3.num_batches_tracked": (),
        "layer4.0.conv3.weight": (2048, 512, 1, 1),
        "fc.weight": (1000, 2048),
    }.items():
        assert tuple(state[name].shape) == shape, name
    counts = {"resnet18": 11_689_512, "resnet34": 21_797_672}
    for depth, count in counts.items():
        assert sum(p.numel() for p in ResNet(depth, outputs=1000).parameters()) == count


def test_bottlenecks_stride_in_the_three_by_three():
    block = ResNet("resnet50").get_submodule("layer3.0")
    assert block.conv1.stride == (1, 1)
    assert block.conv2.stride == (2, 2)


def forward_by_hand(state: dict[str, torch.Tensor], pictures: torch.Tensor, blocks: tuple) -> torch.Tensor:
    """Deep3D's network from its description alone: stem, bottlenecks, mean, seven heads side by side."""

    def convolve(x, name, norm, stride=1, padding=0):
        x = conv2d(x, state[f"{name}.weight"], stride=stride, padding=padding)
        keys = ("running_mean", "running_var", "weight", "bias")
        return batch_norm(x, *(state[f"{norm}.{key}"] for key in keys), training=False)

    x = convolve(pictures, "backbone.conv1", "backbone.bn1", 2, 3).relu()
    x = max_pool2d(x, 3, 2, 1)
    for stage, count in enumerate(blocks, start=1):
        for number in range(count):
            at = f"backbone.layer{stage}.{number}"
            stride = 2 if stage > 1 and number == 0 else 1
            y = convolve(x, f"{at}.conv1", f"{at}.bn1").relu()
            y = convolve(y, f"{at}.conv2", f"{at}.bn2", stride, 1).relu()
            y = convolve(y, f"{at}.conv3", f"{at}.bn3")
            if number == 0:
                x = convolve(x, f"{at}.downsample.0", f"{at}.downsample.1", stride)
            x = (x + y).relu()
    x = x.mean((2, 3))
    heads = [
        x @ state[f"final_layers.{n}.weight"][:, :, 0, 0].T + state[f"final_layers.{n}.bias"]
        for n in range(7)
    ]
    return torch.cat(heads, dim=1)


def test_257_numbers_of_a_checkpoint_of_deep3d_are_those_of_its_architecture(tmp_path):
    network = randomised(CoarseNetwork(DEEP3D_SPEC))
    save_deep3d(tmp_path / "epoch_20.pth", network)
    state = read_pickled(tmp_path / "epoch_20.pth")["net_recon"]
    pictures = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    loaded = load_network(tmp_path / "epoch_20.pth", model_with(80, 64, 80), "bfm09")
    with torch.no_grad():
        numbers = loaded(pictures)
        expected = forward_by_hand(state, pictures, (3, 4, 6, 3))
    assert numbers.shape == (2, 257)
    assert expected.abs().mean() > 0.1
    torch.testing.assert_close(numbers, expected, rtol=1e-4, atol=1e-4)


def test_the_first_prediction_is_the_mean_face_for_any_picture():
    for single in (False, True):
        network = CoarseNetwork(NetworkSpec(5, 4, 3, backbone="resnet18", width=8, single_layer=single))
        assert network(torch.rand(2, 3, 64, 64)).abs().max() == 0


def test_numbers_are_named_in_deep3ds_order_and_units():
    numbers = torch.arange(257.0)[None]
    found = prediction_of(numbers, DEEP3D_SPEC)
    assert found.identity[0].tolist() == list(range(80))
    assert found.expression[0, 0] == 80
    assert found.albedo[0, 0] == 144
    assert found.rotation[0].tolist() == [224, 225, 226]
    assert found.lighting[0, [0, 26]].tolist() == [227, 253]
    assert found.translation[0].tolist() == [25400, 25500, 25600]  # decimetres -> millimetres
    with pytest.raises(ValueError, match="257"):
        prediction_of(numbers[:, :-1], DEEP3D_SPEC)


def test_strengths_become_expression_coefficients_within_bounds():
    model = model_with(2, 3, 1, blendshapes=2)
    spec = spec_for(model)
    assert spec.strengths
    assert spec.widths == (2, 2, 1, 3, 27, 2, 1)
    numbers = torch.zeros(1, sum(spec.widths))
    numbers[0, 2:4] = torch.tensor([1.7, -0.4])
    found = coefficients_of(prediction_of(numbers, spec), spec, model)
    torch.testing.assert_close(found.expression[0], model.blendshape_coefficients[0])


def test_white_light_is_the_mean_over_the_colours():
    spec = NetworkSpec(1, 1, 1, light="white")
    numbers = torch.zeros(1, sum(spec.widths))
    numbers[0, 6:33] = torch.arange(27.0)  # red 0.., green 9.., blue 18..: the mean is green's
    found = coefficients_of(prediction_of(numbers, spec), spec, model_with(1, 1, 1))
    assert found.lighting[0].tolist() == 3 * list(range(9, 18))


def test_bounds_stop_only_the_gradient_that_leads_out():
    x = torch.tensor([0.0, 0.0, 0.5, 1.0, 1.0], requires_grad=True)
    # Descent on w x moves against w: at 0 a negative w leads inside, at 1 a positive one.
    (bounded(x) * torch.tensor([1.0, -1.0, 3.0, 1.0, -1.0])).sum().backward()
    assert x.grad.tolist() == [0, -1, 3, 1, 0]


def test_reduced_pictures_are_block_means_and_bgr255_is_reversed_and_scaled():
    crops = torch.rand(1, 224, 224, 3)
    spec = NetworkSpec(1, 1, 1, reduction=2)
    pictures = network_pictures(crops, spec)
    assert pictures.shape == (1, 3, 112, 112)
    torch.testing.assert_close(pictures[0, 1, 3, 5], crops[0, 6:8, 10:12, 1].mean())
    network = randomised(CoarseNetwork(NetworkSpec(5, 4, 3, backbone="resnet18", width=8, colors="bgr255")))
    plain = CoarseNetwork(SMALL).eval()
    plain.load_state_dict(network.state_dict())
    torch.testing.assert_close(network(pictures), plain(255 * pictures[:, [2, 1, 0]]), rtol=1e-4, atol=0.01)


@pytest.mark.parametrize("depth", ["resnet18", "resnet50"])
def test_folding_norms_keeps_the_output(depth):
    network = randomised(CoarseNetwork(NetworkSpec(5, 4, 3, backbone=depth, width=8)))
    pictures = torch.rand(2, 3, 64, 64)
    folded = network.folded()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    torch.testing.assert_close(folded(pictures), network(pictures), rtol=1e-4, atol=1e-4)


def test_weights_files_come_back_and_equal_networks_give_equal_bytes(tmp_path):
    network = randomised(CoarseNetwork(SMALL))
    for name in ("a", "b"):
        save_network(tmp_path / f"{name}.safetensors", network, "head", {"images": "12"})
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    loaded = load_network(tmp_path / "a.safetensors", model_with(5, 4, 3), "head")
    assert loaded.spec == SMALL
    assert not loaded.training
    pictures = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(loaded(pictures), network(pictures), rtol=0.02, atol=0.02)  # float16


def test_single_layer_checkpoint_is_recognised(tmp_path):
    spec = NetworkSpec(5, 4, 3, backbone="resnet34", width=8, single_layer=True)
    network = randomised(CoarseNetwork(spec))
    save_deep3d(tmp_path / "epoch_1.pth", network)
    loaded = load_network(tmp_path / "epoch_1.pth", model_with(5, 4, 3), "head")
    assert loaded.spec == spec
    pictures = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(loaded(pictures), network(pictures))


def test_a_network_for_another_model_is_named(tmp_path):
    save_deep3d(tmp_path / "epoch_20.pth", CoarseNetwork(SMALL))
    with pytest.raises(FormatError, match=r"another morphable model(.|\n)*identity 120(.|\n)*identity 5"):
        load_network(tmp_path / "epoch_20.pth", model_with(120, 4, 3), "head")
    save_network(tmp_path / "w.safetensors", CoarseNetwork(SMALL), "bfm09")
    with pytest.raises(FormatError, match="weights for the model bfm09"):
        load_network(tmp_path / "w.safetensors", model_with(5, 4, 3), "head")
    single = NetworkSpec(5, 4, 3, backbone="resnet18", width=8, single_layer=True)
    save_deep3d(tmp_path / "single.pth", CoarseNetwork(single))
    with pytest.raises(FormatError, match="one layer of 45 numbers"):
        load_network(tmp_path / "single.pth", model_with(6, 4, 3), "head")


class Harmful:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_executable_pickles_are_refused_and_not_run(tmp_path):
    for name, save in (("new.pth", torch.save), ("old.pth", lambda x, p: p.write_bytes(pickle.dumps(x)))):
        save({"net_recon": Harmful(str(tmp_path / "harm"))}, tmp_path / name)
        with pytest.raises(FormatError, match="could run code"):
            load_network(tmp_path / name, model_with(5, 4, 3), "head")
    assert not (tmp_path / "harm").exists()


def test_other_files_are_named(tmp_path):
    model = model_with(5, 4, 3)
    with pytest.raises(FormatError, match="is missing"):
        load_network(tmp_path / "none.pth", model, "head")
    with pytest.raises(FormatError, match="is missing"):
        load_network(tmp_path / "none.safetensors", model, "head")
    torch.save(ResNet("resnet18", 8).state_dict(), tmp_path / "imagenet.pth")
    with pytest.raises(FormatError, match="other networks"):
        load_network(tmp_path / "imagenet.pth", model, "head")
    torch.save({"net_recon": {"conv.weight": torch.zeros(1)}}, tmp_path / "strange.pth")
    with pytest.raises(FormatError, match="no network that is known"):
        load_network(tmp_path / "strange.pth", model, "head")
    torch.save(torch.zeros(3), tmp_path / "tensor.pth")
    with pytest.raises(FormatError, match="no dictionary"):
        load_network(tmp_path / "tensor.pth", model, "head")
    save_deep3d(tmp_path / "cut.pth", CoarseNetwork(SMALL))
    content = (tmp_path / "cut.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(content[: len(content) // 2])
    with pytest.raises(FormatError, match="whole PyTorch checkpoint"):
        load_network(tmp_path / "cut.pth", model, "head")
    (tmp_path / "page.safetensors").write_text("<html>not found</html>")
    with pytest.raises(FormatError, match=r"page\.safetensors cannot be read"):
        load_network(tmp_path / "page.safetensors", model, "head")


def test_a_backbone_of_torchvision_starts_the_network_and_another_depth_is_refused(tmp_path):
    backbone = randomised(ResNet("resnet18", 8, outputs=10))
    torch.save(backbone.state_dict(), tmp_path / "resnet18.pth")
    network = CoarseNetwork(SMALL)
    load_backbone(tmp_path / "resnet18.pth", network)
    own = network.backbone.state_dict()
    assert all(torch.equal(own[name], value) for name, value in backbone.state_dict().items() if name in own)
    assert network(torch.rand(1, 3, 64, 64)).abs().max() == 0
    with pytest.raises(FormatError, match="does not fit the network"):
        load_backbone(tmp_path / "resnet18.pth", CoarseNetwork(NetworkSpec(5, 4, 3, backbone="resnet34")))
