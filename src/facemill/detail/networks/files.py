"""Weights of detail networks on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from facemill.detail.networks.detail_network import DetailNetwork
from facemill.detail.networks.original_network import OriginalDetailNetwork
from facemill.detail.networks.spec import NetworkSpec
from facemill.formats.checkpoints import read_weights, write_weights
from facemill.models.topology import Topology
from facemill.networks.restoring import restore, spec_from_header
from facemill.runtime.errors import FormatError

FORMAT = "facemill-detail-network-1"

AnyDetailNetwork = DetailNetwork | OriginalDetailNetwork


def make_network(spec: NetworkSpec) -> AnyDetailNetwork:
    """A new network, weights drawn from torch's generator."""
    return DetailNetwork(spec) if spec.kind == "detail" else OriginalDetailNetwork(spec)


def atlas_digest(topology: Topology) -> str:
    """Tells atlases apart: of triangles and of uv to five digits."""
    total = hashlib.sha256()
    for table in (topology.triangles, topology.uv_triangles):
        total.update(table.cpu().numpy().astype("<i8").tobytes())
    total.update((topology.uv.cpu().double().numpy() * 1e5).round().astype("<i8").tobytes())
    return total.hexdigest()[:16]


def save_network(
    path: str | Path,
    network: AnyDetailNetwork,
    model_name: str,
    topology: Topology,
    notes: Mapping[str, str] | None = None,
) -> None:
    """Write weights as float16 safetensors with the network's spec, and the model and atlas it is for.

    Args:
        notes: further lines of the header, such as how the weights were trained; no line breaks.
    """
    header = {"format": FORMAT, "model": model_name, "atlas": atlas_digest(topology)}
    header |= {**network.spec.as_text(), **(notes or {})}
    write_weights(path, network.state_dict(), header, half=True)


def load_network(path: str | Path, model_name: str, topology: Topology) -> AnyDetailNetwork:
    """Read a network for the atlas of a morphable model; its maps have `spec.size` texels.

    Returns:
        In evaluation mode, float32 on the CPU.
    Raises:
        FormatError: missing, not whole, executable, or of another network, morphable model or atlas.
    """
    weights, header = read_weights(path, FORMAT)
    found = (header.get("model", "(unnamed)"), header.get("atlas", "(none)"))
    if found != (model_name, atlas_digest(topology)):
        raise FormatError(
            f"{path} is a detail network for another morphable model",
            f"weights for the model {model_name}, atlas {atlas_digest(topology)}",
            f"weights for the model {found[0]}, atlas {found[1]}",
            "choose that model in the configuration, or train on this one (train_detail)",
        )
    spec = spec_from_header(path, header, NetworkSpec.from_text)
    return restore(make_network(spec), path, weights, f"{spec.kind} of widths {spec.widths}").eval()


def check_window(name: str | Path, spec: NetworkSpec, size: int, window: Sequence[int]) -> None:
    """Refuse a network whose maps are not those of an atlas.

    Args:
        name: of the network, for the message; size: texels along each side of the atlas in use; window: top,
            left, height, width of the part that is used.
    Raises:
        FormatError: another size, or another window.
    """
    if (spec.size, *spec.window) != (size, *window):
        raise FormatError(
            f"{name} is a detail network for other maps",
            f"maps of {size} texels, window {' '.join(map(str, window))}",
            f"maps of {spec.size} texels, window {' '.join(map(str, spec.window))}",
            "train on maps of this size (pack_detail.size), or choose weights that were",
        )
