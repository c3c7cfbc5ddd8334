"""Networks on disk: our weights files, Deep3DFaceRecon's checkpoints, torchvision's backbones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from facemill.coarse.networks.coarse_network import CoarseNetwork, NetworkSpec, spec_for
from facemill.coarse.networks.resnet import LAYOUTS, Layout
from facemill.formats.checkpoints import read_pickled, read_weights, write_pickled, write_weights
from facemill.models.morphable import MorphableModel
from facemill.networks.restoring import restore, spec_from_header
from facemill.runtime.errors import FormatError

FORMAT = "facemill-coarse-network-1"
DEEP3D_KEY = "net_recon"
HEADS = ("identity", "expression", "albedo", "angle", "gamma", "tx_ty", "tz")


def save_network(
    path: str | Path, network: CoarseNetwork, model: str, notes: Mapping[str, str] | None = None
) -> None:
    """Write weights as float16 safetensors with the network's spec and the name of its morphable model.

    Args:
        notes: further lines of the header, such as how the weights were trained; no line breaks.
    """
    header = {"format": FORMAT, "model": model, **network.spec.as_text(), **(notes or {})}
    weights = {n: v for n, v in network.state_dict().items() if not n.endswith("num_batches_tracked")}
    write_weights(path, weights, header, half=True)


def load_network(path: str | Path, model: MorphableModel, model_name: str) -> CoarseNetwork:
    """Read a network for `model`: `.safetensors` of ours, or `epoch_*.pth` of Deep3DFaceRecon_pytorch.

    Returns:
        In evaluation mode, float32 on the CPU.
    Raises:
        FormatError: missing, not whole, executable, of another kind of network or of another morphable model.
    """
    path = Path(path)
    if path.suffix.lower() in (".pth", ".pt"):
        network = _from_deep3d(path, model)
    else:
        weights, header = read_weights(path, FORMAT)
        if header.get("model") != model_name:
            raise FormatError(
                f"{path} is a network for another morphable model",
                f"weights trained for the model {model_name}",
                f"weights for the model {header.get('model', '(unnamed)')}",
                "choose that model in the configuration, or weights for this one",
            )
        network = CoarseNetwork(spec_from_header(path, header, NetworkSpec.from_text))
        _check_heads(path, network.spec, model)
        _load(path, network, weights)
    return network.eval()


def save_deep3d(path: str | Path, network: CoarseNetwork) -> None:
    """Write a checkpoint as Deep3DFaceRecon_pytorch's: the network under `net_recon`, no optimiser.

    A head of dense landmarks, which that system knows nothing of, is left out.
    """
    whole = network.state_dict().items()
    state = {name: value.detach().cpu() for name, value in whole if not name.startswith("dense_head.")}
    write_pickled(path, {DEEP3D_KEY: state})


def load_backbone(path: str | Path, network: CoarseNetwork) -> None:
    """Start `network`'s backbone from torchvision's weights (ImageNet), its heads staying as they are.

    Args:
        path: a `.pth` of torchvision, for example `resnet50-0676ba61.pth`; its `fc` is left out.
    Raises:
        FormatError: not such a file, or of another depth or width.
    """
    content = {name: value for name, value in read_pickled(path).items() if not name.startswith("fc.")}
    kept = {
        name: value
        for name, value in network.state_dict().items()
        if not name.startswith("backbone.") or name.startswith("backbone.fc.")
    }
    _load(Path(path), network, {**{f"backbone.{name}": value for name, value in content.items()}, **kept})


def _from_deep3d(path: Path, model: MorphableModel) -> CoarseNetwork:
    content = read_pickled(path)
    if DEEP3D_KEY not in content:
        raise FormatError(
            f"{path} is no checkpoint of Deep3DFaceRecon_pytorch",
            f"a dictionary with {DEEP3D_KEY}",
            _keys(content),
            "give checkpoints/<name>/epoch_<n>.pth; backbone.pth of ArcFace and torchvision's "
            "resnet50-*.pth are other networks",
        )
    state = content[DEEP3D_KEY]
    spec = _spec_from_state(path, state, model)
    _check_heads(path, spec, model)
    network = CoarseNetwork(spec)
    _load(path, network, state)
    return network


def _spec_from_state(path: Path, state: Mapping[str, Tensor], model: MorphableModel) -> NetworkSpec:
    """What the names and shapes of a state dict say about its network."""
    blocks = [
        len({name.split(".")[2] for name in state if name.startswith(f"backbone.layer{stage}.")})
        for stage in (1, 2, 3, 4)
    ]
    layout = Layout(tuple(blocks), "backbone.layer1.0.conv3.weight" in state)  # type: ignore[arg-type]
    depth = next((name for name, known in LAYOUTS.items() if known == layout), None)
    if depth is None:
        raise FormatError(
            f"{path}: its {DEEP3D_KEY} is no network that is known here",
            f"{' or '.join(LAYOUTS)} under backbone.*",
            _keys(state),
            "give a checkpoint of Deep3DFaceRecon_pytorch",
        )
    width = state["backbone.conv1.weight"].shape[0]
    expected = spec_for(model, backbone=depth, width=width)
    if "backbone.fc.weight" in state:
        found = state["backbone.fc.weight"].shape[0]
        if found != sum(expected.widths):
            raise _other_model(path, f"one layer of {found} numbers", expected)
        return spec_for(model, backbone=depth, width=width, single_layer=True)
    heads = [state.get(f"final_layers.{number}.weight") for number in range(7)]
    sizes = [0 if head is None else head.shape[0] for head in heads]
    strengths = expected.strengths and sizes[1] == expected.expression
    return NetworkSpec(sizes[0], sizes[1], sizes[2], strengths, depth, width)


def _check_heads(path: Path, spec: NetworkSpec, model: MorphableModel) -> None:
    expected = spec_for(model)
    if spec.widths[:3] != expected.widths[:3]:
        sizes = ", ".join(f"{name} {size}" for name, size in zip(HEADS[:3], spec.widths[:3], strict=True))
        raise _other_model(path, sizes, expected)


def _other_model(path: Path, found: str, expected: NetworkSpec) -> FormatError:
    sizes = zip(HEADS[:3], expected.widths[:3], strict=True)
    return FormatError(
        f"{path} is a network for another morphable model",
        ", ".join(f"{name} {size}" for name, size in sizes) + " for the model of this run",
        found,
        "choose the model it was trained with (Deep3DFaceRecon's has 80, 64, 80), or other weights",
    )


def _load(path: Path, network: CoarseNetwork, weights: Mapping[str, Any]) -> None:
    """Fill `network`, whose counters of training batches may be absent from `weights`."""
    own = network.state_dict()
    counters = {n: v for n, v in own.items() if n.endswith("num_batches_tracked")}
    given = {**counters, **weights}
    described = f"{network.spec.backbone} of width {network.spec.width}, named as in torchvision"
    restore(network, path, given, described, "choose the backbone that the weights were made for")


def _keys(content: Mapping[str, Any]) -> str:
    names = [str(name) for name in content]
    return ", ".join(names[:6]) + (f", … ({len(names)} names)" if len(names) > 6 else "") or "nothing"
