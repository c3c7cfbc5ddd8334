"""The one place that chooses a device and the number of threads."""

import torch

from facemill.runtime.errors import ConfigurationError


def choose_device(name: str) -> torch.device:
    """Turn `auto`, `cpu` or `cuda` (or `cuda:1`) into a device; `auto` takes CUDA when there is one.

    Raises:
        ConfigurationError: CUDA was asked for and there is none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError(
            f"device: {name}", "a machine with CUDA", "torch sees no CUDA device", "set device: auto or cpu"
        )
    return device


def use_threads(count: int) -> None:
    """Let torch and numba use `count` threads, the number that the scheduler gave this job."""
    import numba
    from numba.core import config

    # numba goes first: when it starts its threads, it sets those of OpenMP, which torch shares, to its maximum.
    numba.set_num_threads(max(1, min(count, config.NUMBA_NUM_THREADS)))
    torch.set_num_threads(max(1, count))
