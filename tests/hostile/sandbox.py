"""One reader, many hostile inputs, in a process of its own that may crash, hang or fill its memory.

The child announces each input before it reads it and its outcome afterwards. When it dies or stays silent,
the input it announced is the crash, and a new child goes on behind it. Inputs follow from fixed seeds and not
from outcomes, so that the second child meets the same ones.
"""

import multiprocessing
import os
import resource
import shutil
import signal
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings

from facemill.runtime.errors import FacemillError, PhotoError
from hostile.attacks import MARKER, attacks_on
from hostile.mutations import mutated
from hostile.reader import Reader
from hostile.values import what_is_wrong

BUSY = 30.0  # seconds of processor time that one input may take; ordinary ones take milliseconds
ASLEEP = 60.0  # seconds without any processor time, and without being ready for it: it waits for ever
MEMORY = 3 << 30  # bytes beyond what the program itself has mapped
ACCEPTED, REFUSED, CRASHED = "accepted", "refused", "crashed"


@dataclass
class Outcome:
    """What became of a reader's inputs; `crashes` tells of each what it was and what happened."""

    reader: str
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys((ACCEPTED, REFUSED, CRASHED), 0))
    crashes: list[str] = field(default_factory=list)

    @property
    def tried(self) -> int:
        return sum(self.counts.values())


def try_reader(reader: Reader, folder: Path, count: int) -> Outcome:
    """Give `count` mutated inputs, and every targeted attack, to `reader`."""
    outcome, first = Outcome(reader.name), 0
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        announced = _run_child(reader, folder, count, first, outcome)
        if announced is None:
            return outcome
        first = announced + 1


def _run_child(reader: Reader, folder: Path, count: int, first: int, outcome: Outcome) -> int | None:
    """Follow one child; the number of the input on which it died, or None when it came to the end."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(reader, folder, count, first, theirs), daemon=True)
    child.start()
    theirs.close()
    number, label = None, "before the first input"
    try:
        while True:
            if (stuck := _waited_in_vain(ours, child.pid)) is not None:
                what = stuck
                break
            message = ours.recv()
            if message is None:
                return None
            if message[0] == "broken":
                raise RuntimeError(f"{reader.name}: the suite itself failed:\n{message[1]}")
            if message[0] == "begin":
                number, label = message[1:]
            else:
                kind, told = message[1:]
                outcome.counts[kind] += 1
                if kind == CRASHED:
                    outcome.crashes.append(f"{reader.name}, {label}: {told}")
    except EOFError:
        child.join(ASLEEP)
        what = f"the process died with exit code {child.exitcode}"
    finally:
        child.kill()
        child.join()
    outcome.counts[CRASHED] += 1
    outcome.crashes.append(f"{reader.name}, {label}: {what}")
    return number  # None: it did not come to the inputs, and no other child would


def _waited_in_vain(pipe: Connection, child: int | None) -> str | None:
    """None once the child has said something or died; else why it will not. A busy machine is no reason."""
    start = last = _processor_time(child)
    asleep = 0
    while not pipe.poll(1.0):
        now, ready = _processor_time(child), _state(child) == "R"
        asleep = 0 if ready or now > last else asleep + 1
        last = now
        if now - start > BUSY:
            return f"no answer after {now - start:.0f} s of processor time"
        if asleep > ASLEEP:
            return f"asleep for {ASLEEP:g} s"
    return None


def _processor_time(child: int | None) -> float:
    words = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def _state(child: int | None) -> str:
    return Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]


def _child(reader: Reader, folder: Path, count: int, first: int, pipe: Connection) -> None:
    try:
        _try_inputs(reader, folder, count, first, pipe)
    except BaseException:
        pipe.send(("broken", traceback.format_exc()))
    pipe.close()
    os._exit(0)


def _try_inputs(reader: Reader, folder: Path, count: int, first: int, pipe: Connection) -> None:
    _confine()
    run, outside = folder / "run", folder / "outside"
    outside.mkdir()
    os.chdir(outside)
    victim, content = _fresh(reader, run)
    for number, (label, place) in enumerate(_inputs(reader, victim, content, count)):
        if number >= first:
            pipe.send(("begin", number, label))
            pipe.send(("end", *_outcome(reader, place, folder)))
    pipe.send(None)


def _inputs(reader: Reader, victim: Path, content: bytes, count: int) -> Iterator[tuple[str, Path]]:
    """Plant the inputs one after the other; yields what each is, and the path to read."""
    yield "the valid input", victim
    for label, attack in attacks_on(reader.kind):
        _clear(victim)
        yield label, attack(victim, content)
        _clear(victim)
    # Hypothesis calls a function and cannot be asked for the next example: all are drawn first.
    drawn: list[bytes] = []

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(mutated(reader.kind, content))
    def draw(mutant: bytes) -> None:
        drawn.append(mutant)

    draw()
    for number, mutant in enumerate(drawn[:count]):
        victim.write_bytes(mutant)
        yield f"mutant {number} ({len(mutant)} bytes)", victim


def _outcome(reader: Reader, place: Path, folder: Path) -> tuple[str, str]:
    before = _files(folder)
    try:
        value = reader.read(place)
        wrong = what_is_wrong(value, reader.may_be_nan)
        kind, told = (CRASHED, f"accepted, but {wrong}") if wrong else (ACCEPTED, "")
    except FacemillError as error:
        text = str(error)
        names = any(part in text for part in (place.name[:40], str(place.parent)))
        kind, told = (REFUSED, "") if names or not reader.names_file else (CRASHED, f"no file named: {text}")
    except PhotoError as error:
        kind, told = (REFUSED, "") if error.reason else (CRASHED, "a status without a reason")
    except Exception:
        kind, told = CRASHED, traceback.format_exc(limit=-4)
    new = _files(folder) - before
    if new:
        kind, told = CRASHED, f"wrote {sorted(new)}"
    return kind, told


def _fresh(reader: Reader, run: Path) -> tuple[Path, bytes]:
    run.mkdir()
    victim = reader.write(run)
    return victim, victim.read_bytes()


def _clear(victim: Path) -> None:
    if victim.is_dir() and not victim.is_symlink():
        shutil.rmtree(victim)
    else:
        victim.unlink(missing_ok=True)


def _files(folder: Path) -> set[str]:
    found = {str(Path(place, name)) for place, _, names in os.walk(folder) for name in names}
    return found | ({MARKER} if os.path.exists(MARKER) else set())


def _confine() -> None:
    """Limit the memory, leave the terminal alone, and do without threads, which a fork does not inherit."""
    import pyarrow
    import torch

    torch.set_num_threads(1)
    pyarrow.set_cpu_count(1)
    pyarrow.set_io_thread_count(1)
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY, mapped + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, sys.__stderr__.fileno() if sys.__stderr__ else 2)
