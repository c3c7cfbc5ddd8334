"""Weights of matching networks on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from facemill.formats.checkpoints import read_weights, write_weights
from facemill.multiview.implicit.network import ImplicitNetwork
from facemill.multiview.implicit.spec import ImplicitSpec
from facemill.runtime.errors import FormatError

FORMAT = "facemill-implicit-network-1"


def save_network(path: str | Path, network: ImplicitNetwork, notes: Mapping[str, str] | None = None) -> None:
    """Write weights as float16 safetensors with the network's spec.

    Args:
        notes: further lines of the header, such as how the weights were trained; no line breaks.
    """
    header = {"format": FORMAT, **network.spec.as_text(), **(notes or {})}
    write_weights(path, network.state_dict(), header, half=True)


def load_network(path: str | Path) -> ImplicitNetwork:
    """Read a network, in evaluation mode, float32 on the CPU.

    Raises:
        FormatError: missing, not whole, executable, or of another network.
    """
    weights, header = read_weights(path, FORMAT)
    try:
        spec = ImplicitSpec.from_text(header)
    except (KeyError, ValueError) as error:
        raise FormatError(
            f"{path}: its header does not describe a network",
            "the attributes of ImplicitSpec",
            f"{type(error).__name__}: {error}",
            "write it again with this version",
        ) from error
    network = ImplicitNetwork(spec)
    own = network.state_dict()
    wrong = sorted(own.keys() ^ weights.keys())
    wrong += [name for name in own if name in weights and own[name].shape != weights[name].shape]
    if wrong:
        raise FormatError(
            f"{path} does not fit the network that its header describes",
            f"{len(own)} tensors of a network {spec.kind} of widths {spec.widths}",
            f"{len(wrong)} that differ, first {wrong[0]}",
            "write it again with this version",
        )
    network.load_state_dict(weights)
    return network.eval()
