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

    # numba goes first: starting its threads sets those of OpenMP, which torch shares, to numba's maximum.
    most: int = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]  # made when it is imported
    numba.set_num_threads(max(1, min(count, most)))
    torch.set_num_threads(max(1, count))
