"""Weights of regularisers on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from facemill.formats.checkpoints import read_weights, write_weights
from facemill.multiview.regularization.networks import AnyRegularizer, make_regularizer
from facemill.multiview.regularization.spec import RegularizerSpec
from facemill.runtime.errors import FormatError

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
    try:
        spec = RegularizerSpec.from_text(header)
    except (KeyError, ValueError) as error:
        raise FormatError(
            f"{path}: its header does not describe a regulariser",
            "the attributes of RegularizerSpec",
            f"{type(error).__name__}: {error}",
            "write it again with this version (train_regularizer)",
        ) from error
    network = make_regularizer(spec)
    own = network.state_dict()
    wrong = sorted(own.keys() ^ weights.keys())
    wrong += [name for name in own if name in weights and own[name].shape != weights[name].shape]
    if wrong:
        raise FormatError(
            f"{path} does not fit the network that its header describes",
            f"{len(own)} tensors of a regulariser {spec.kind} of widths {spec.widths}",
            f"{len(wrong)} that differ, first {wrong[0]}",
            "write it again with this version (train_regularizer)",
        )
    network.load_state_dict(weights)
    return network.eval()
