"""Weights of matching networks on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from facemill.formats.checkpoints import read_weights, write_weights
from facemill.multiview.implicit.network import ImplicitNetwork
from facemill.multiview.implicit.spec import ImplicitSpec
from facemill.networks.restoring import restore, spec_from_header

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
    spec = spec_from_header(path, header, ImplicitSpec.from_text)
    return restore(ImplicitNetwork(spec), path, weights, f"{spec.kind} of widths {spec.widths}").eval()
