"""Weights of regularisers on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from facemill.formats.checkpoints import read_weights, write_weights
from facemill.multiview.regularization.networks import AnyRegularizer, make_regularizer
from facemill.multiview.regularization.spec import RegularizerSpec
from facemill.networks.restoring import restore, spec_from_header

FORMAT = "facemill-regularizer-1"


def save_regularizer(
    path: str | Path, network: AnyRegularizer, notes: Mapping[str, str] | None = None
) -> None:
    """Write weights as float16 safetensors with the network's spec.

    Args:
        notes: further lines of the header, such as how the weights were trained; no line breaks.
    """
    header = {"format": FORMAT, **network.spec.as_text(), **(notes or {})}
    write_weights(path, network.state_dict(), header, half=True)


def load_regularizer(path: str | Path) -> AnyRegularizer:
    """Read a regulariser: in evaluation mode, float32 on the CPU.

    Raises:
        FormatError: missing, not whole, executable, or of another network.
    """
    weights, header = read_weights(path, FORMAT)
    spec = spec_from_header(path, header, RegularizerSpec.from_text)
    return restore(make_regularizer(spec), path, weights, f"{spec.kind} of widths {spec.widths}").eval()
