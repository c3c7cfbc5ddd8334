"""Networks from what their files hold: a header that describes one, and its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from torch import Tensor, nn

from facemill.runtime.errors import FormatError

WRITE_AGAIN = "write it again with this version"

Spec = TypeVar("Spec")
Network = TypeVar("Network", bound=nn.Module)


def spec_from_header(
    path: str | Path,
    header: dict[str, str],
    from_text: Callable[[dict[str, str]], Spec],
    remedy: str = WRITE_AGAIN,
) -> Spec:
    """The description of a network that a file's header holds.

    Args:
        path: of the file, for messages; from_text: raises KeyError or ValueError where the header describes
            no such network.
    Raises:
        FormatError: the header does not describe one.
    """
    try:
        return from_text(header)
    except (KeyError, ValueError) as error:
        raise FormatError(
            f"{path}: its header does not describe a network",
            f"what {from_text.__qualname__} reads",
            f"{type(error).__name__}: {error}",
            remedy,
        ) from error


def restore(
    network: Network,
    path: str | Path,
    weights: Mapping[str, Tensor],
    described: str,
    remedy: str = WRITE_AGAIN,
) -> Network:
    """Fill a network with the weights of a file; one on the device `meta` takes the tensors as they are.

    Args:
        path: of the file, and described: what the network is, for messages.
    Returns:
        The same network.
    Raises:
        FormatError: names or shapes are not those of the network.
    """
    own = network.state_dict()
    wrong = sorted(own.keys() ^ weights.keys())
    wrong += [name for name in own if name in weights and own[name].shape != weights[name].shape]
    if wrong:
        raise FormatError(
            f"{path} does not fit the network that it should hold",
            f"{len(own)} tensors of a network {described}",
            f"{len(wrong)} that differ, first {wrong[0]}",
            remedy,
        )
    network.load_state_dict(weights, assign=any(value.is_meta for value in own.values()))
    return network
