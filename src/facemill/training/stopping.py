"""A scheduler's time limit: SIGTERM ends a training after its step, with a checkpoint."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch
from lightning.fabric import Fabric

STOPPED = 128 + signal.SIGTERM  # exit code of a process that SIGTERM ended


class Stop:
    """Whether the processes of a training were asked to end."""

    def __init__(self) -> None:
        self.signalled = False

    def asked(self, fabric: Fabric) -> bool:
        """Whether any of the processes was; all learn of it at the same step."""
        if fabric.world_size == 1:
            return self.signalled
        told = torch.tensor(float(self.signalled), device=fabric.device)
        return bool(torch.as_tensor(fabric.all_reduce(told, reduce_op="sum")) > 0)


@contextmanager
def stop_on_sigterm() -> Iterator[Stop]:
    """Note SIGTERM instead of dying of it; a second one kills."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():  # only there Python hears of signals
        yield stop
        return

    def note(_number: int, _frame: FrameType | None) -> None:
        stop.signalled = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, before)
