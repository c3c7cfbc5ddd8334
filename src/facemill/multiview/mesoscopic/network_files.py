"""Weights of mesoscopic networks on disk: our own, and pix2pixHD's generator."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from facemill.formats.checkpoints import read_pickled, read_weights, write_weights
from facemill.multiview.mesoscopic.compact_network import CompactNetwork
from facemill.multiview.mesoscopic.published_network import PublishedNetwork
from facemill.multiview.mesoscopic.spec import MesoscopicSpec
from facemill.networks.restoring import WRITE_AGAIN, restore, spec_from_header
from facemill.runtime.errors import FormatError

FORMAT = "facemill-mesoscopic-network-1"

AnyMesoscopicNetwork = CompactNetwork | PublishedNetwork


def make_network(spec: MesoscopicSpec) -> AnyMesoscopicNetwork:
    """A new network, weights drawn from torch's generator."""
    return CompactNetwork(spec) if spec.kind == "compact" else PublishedNetwork(spec)


def save_network(
    path: str | Path, network: AnyMesoscopicNetwork, notes: Mapping[str, str] | None = None
) -> None:
    """Write weights as float16 safetensors with the network's spec.

    Args:
        notes: further lines of the header, such as how the weights were trained; no line breaks.
    """
    header = {"format": FORMAT, **network.spec.as_text(), **(notes or {})}
    write_weights(path, network.state_dict(), header, half=True)


def load_network(path: str | Path) -> AnyMesoscopicNetwork:
    """Read weights: `.safetensors` of ours, or `.pth` of pix2pixHD's generator.

    Returns:
        In evaluation mode, float32 on the CPU.
    Raises:
        FormatError: missing, not whole, executable, or of another network.
    """
    if Path(path).suffix.lower() in (".pth", ".pt", ".pkl"):
        return load_published(path)
    weights, header = read_weights(path, FORMAT)
    return _with_weights(path, spec_from_header(path, header, MesoscopicSpec.from_text), weights, WRITE_AGAIN)


def load_published(path: str | Path) -> AnyMesoscopicNetwork:
    """Read the state of pix2pixHD's global generator (`latest_net_G.pth`, or MVFR's), one channel out.

    Width and blocks are read from the shapes. Nothing in the file is run.

    Raises:
        FormatError: missing, not whole, executable, or of another network.
    """
    content = read_pickled(path)
    weights = {
        name.removeprefix("module."): value.float()
        for name, value in content.items()
        if isinstance(value, Tensor) and not name.endswith("num_batches_tracked")
    }
    remedy = "give the state of pix2pixHD's global generator (3 channels in, 1 out, instance norm)"
    first = weights.get("model.1.weight")
    if first is None or first.ndim != 4:
        raise FormatError(
            f"{path} is no generator of pix2pixHD",
            "a tensor model.1.weight (ngf, 3, 7, 7)",
            ", ".join(sorted(map(str, content))[:3]) or "nothing",
            remedy,
        )
    blocks = {name.split(".")[1] for name in weights if re.fullmatch(r"model\.\d+\.conv_block\..*", name)}
    simple = sum(bool(re.fullmatch(r"model\.\d+\.weight", name)) for name in weights)
    spec = MesoscopicSpec(
        "published", base_width=len(first), halvings=max(1, (simple - 2) // 2), blocks=max(1, len(blocks))
    )
    return _with_weights(path, spec, weights, remedy)


def _with_weights(
    path: str | Path, spec: MesoscopicSpec, weights: Mapping[str, Tensor], remedy: str
) -> AnyMesoscopicNetwork:
    with torch.device("meta"):  # the published network has 730 MB: it is not made twice
        network = make_network(spec)
    return restore(network, path, weights, spec.kind, remedy).eval()
