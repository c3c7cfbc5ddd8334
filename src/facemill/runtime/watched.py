"""Photos one after another in a worker process, which may be too slow, need too much memory, or die.

The worker is forked from the caller, so models that the caller has loaded are there at once, also in each new
worker, and functions and rows need not be sent. Forking is safe where the caller has started no threads but
those of OpenBLAS, which prepares itself for forks: the photo rules compute nothing before they fork, and
import neither torch nor anything else that uses OpenMP (a test holds them to it). Whoever has used OpenMP
in the same process must not: its threads would be missing in the worker.
"""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from facemill.runtime.outcomes import ERROR, Outcome, Row, outcome_of
from facemill.runtime.settings import PhotoLimits

TOO_SLOW = "too_slow"
TOO_MUCH_MEMORY = "too_much_memory"
CRASHED = "crashed"

LOOK = 0.05  # s between looks at a worker: to be woken for every photo would cost 0.15 ms of each
FAREWELL = 10.0  # s until a worker that was killed is given up: a disk or a network that hangs may hold it
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PAGE = os.sysconf("SC_PAGE_SIZE")


def watched_outcomes(
    function: Callable[[Row], Mapping[str, Any]], rows: Sequence[Row], limits: PhotoLimits
) -> Iterator[Outcome]:
    """The outcome of each row in turn, equal to `outcome_of(function, row)` unless a limit is exceeded.

    A photo that is too slow ends as `too_slow`. One whose worker needs too much memory, or dies, is tried
    once more as the first of a new worker, because others may have left memory behind and anybody may kill
    a process; then it ends as `too_much_memory` or `crashed`. Files that a killed worker was writing stay.

    Args:
        function: runs in a copy of this process; what it returns must be picklable, what it changes is lost.
        limits: time and memory of one photo.
    """
    done, tried = 0, False
    while done < len(rows):
        with _worker(function, rows[done:]) as worker:
            lost = False
            while done < len(rows) and not lost:
                outcome = worker.outcome(limits)
                lost = outcome.status in (TOO_SLOW, TOO_MUCH_MEMORY, CRASHED)
                if lost and outcome.status != TOO_SLOW and not tried:
                    tried = True
                    continue
                yield outcome
                done, tried = done + 1, False


class _Worker:
    """A process that works on rows, seen from the one that waits for it."""

    def __init__(self, function: Callable[[Row], Mapping[str, Any]], rows: Sequence[Row]) -> None:
        context = multiprocessing.get_context("fork")
        self._results, sender = context.Pipe(duplex=False)
        self._at_first = resident_bytes(os.getpid())
        arguments = (function, rows, sender, self._results, os.getpid())
        self._process = context.Process(target=_work, args=arguments, daemon=True)
        self._process.start()
        sender.close()  # else the end of the worker would not end the pipe

    def outcome(self, limits: PhotoLimits) -> Outcome:
        """Wait for the next outcome, or for the reason why there is none."""
        spent, before = 0.0, time.monotonic()
        look = min(LOOK, limits.seconds_per_photo / 4)
        while not self._results.poll():
            wait([self._process.sentinel], look)
            now = time.monotonic()
            spent += min(now - before, 4 * look)  # while this process was stopped, so was the worker
            before = now
            if spent > limits.seconds_per_photo:
                return _refused(
                    TOO_SLOW, f"not done after {limits.seconds_per_photo:g} s", "seconds_per_photo"
                )
            used = resident_bytes(self._process.pid) - self._at_first
            if used > limits.memory_mb_per_photo * 1_000_000:
                found = f"more than {limits.memory_mb_per_photo} MB of memory"
                return _refused(TOO_MUCH_MEMORY, found, "memory_mb_per_photo")
        try:
            outcome: Outcome | Exception = self._results.recv()
        except (EOFError, OSError):
            self._process.join(FAREWELL)
            return Outcome({}, CRASHED, _cause_of_death(self._process.exitcode))
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def end(self) -> None:
        """Kill the process, whatever it does; its results are here, or nobody wants them."""
        self._process.kill()
        self._process.join(FAREWELL)
        self._results.close()


@contextlib.contextmanager
def _worker(function: Callable[[Row], Mapping[str, Any]], rows: Sequence[Row]) -> Iterator[_Worker]:
    worker = _Worker(function, rows)
    try:
        yield worker
    finally:
        worker.end()


def resident_bytes(process: int | None) -> int:
    """Memory that a process occupies; 0 where it is gone or the system does not tell (no /proc)."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _work(
    function: Callable[[Row], Mapping[str, Any]],
    rows: Sequence[Row],
    results: Connection,
    other_end: Connection,
    parent: int,
) -> None:
    """What the worker does."""
    other_end.close()  # else it would not notice that nobody reads any more
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both; the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _die_with(parent)
    for row in rows:
        try:
            results.send(_outcome_or_fault(function, row))
        except BrokenPipeError:
            return
        except Exception as error:  # what was found cannot be sent
            results.send(Outcome({}, ERROR, f"{type(error).__name__}: {error}"))


def _outcome_or_fault(function: Callable[[Row], Mapping[str, Any]], row: Row) -> Outcome | Exception:
    """What became of a photo, or the error of a disk, which is to end the job."""
    try:
        return outcome_of(function, row)
    except Exception as error:
        return error


def _die_with(parent: int) -> None:
    """Ask Linux to kill this process with its parent; elsewhere the next result finds a broken pipe."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it went before it was asked
            os._exit(1)


def _refused(status: str, found: str, key: str) -> Outcome:
    return Outcome({}, status, f"{found}; limits.{key} allows no more")


def _cause_of_death(code: int | None) -> str:
    if code is None or code >= 0:
        return f"the process that worked on the photo ended by itself (exit code {code})"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = ", as Linux does when memory runs out" if name == "SIGKILL" else ""
    return f"the process that worked on the photo was ended twice, by {name}{hint}"
