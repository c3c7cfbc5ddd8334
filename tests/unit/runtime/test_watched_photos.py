"""Photos that are too slow, need too much memory or end their process: each ends as a row, alone."""

import faulthandler
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from facemill.runtime.errors import PhotoError
from facemill.runtime.settings import PhotoLimits
from facemill.runtime.storage import StorageError
from facemill.runtime.tables import EveryPhotoFailedError, map_photos

GENEROUS = PhotoLimits()


def table(*names: str) -> pd.DataFrame:
    rows = [{"photo": name, "status": "ok", "reason": ""} for name in names]
    return pd.DataFrame(rows, columns=["photo", "status", "reason"])


def work(row):
    """What the photo's name says."""
    name = row["photo"]
    if name.startswith("slow"):
        time.sleep(600)
    if name.startswith("endless"):
        while True:
            pass
    if name.startswith("greedy"):
        kept = []
        while True:
            kept.append(np.ones(1_000_000, np.uint8))
            time.sleep(0.001)
    if name.startswith("segfault"):
        faulthandler.disable()  # pytest's, which would print a stack
        os.kill(os.getpid(), signal.SIGSEGV)
    if name.startswith("leaves"):
        os._exit(3)
    if name.startswith("refused"):
        raise PhotoError("no_face", "none")
    if name.startswith("wrong"):
        raise ZeroDivisionError("never mind")
    return {"process": os.getpid(), "name": name}


def watched(*names: str, limits: PhotoLimits = GENEROUS, function=work) -> pd.DataFrame:
    return map_photos(table(*names), function, ["process", "name"], limits=limits)


def test_values_are_bit_identical_and_of_the_same_types_as_without_a_worker():
    generator = np.random.default_rng(0)
    numbers = generator.normal(size=(4, 136))

    def compute(row):
        values = numbers[int(row["photo"])]
        return {"list": values.tolist(), "nan": float("nan"), "scalar": np.float64(values[0]), "none": None}

    columns = ["list", "nan", "scalar", "none"]
    here = map_photos(table(*"0123"), compute, columns)
    there = map_photos(table(*"0123"), compute, columns, limits=GENEROUS)
    pd.testing.assert_frame_equal(here, there, check_exact=True)
    assert np.array_equal(np.stack(there["list"]), numbers)


def test_one_worker_does_all_photos_and_is_gone_afterwards():
    result = watched("a", "b", "c")
    assert result["name"].tolist() == ["a", "b", "c"]
    (process,) = set(result["process"])
    assert process != os.getpid() and not psutil.pid_exists(int(process))


@pytest.mark.parametrize("name", ["slow", "endless"])
def test_a_slow_photo_is_given_up_and_the_others_are_done(name):
    result = watched("a", name, "b", "c", limits=PhotoLimits(seconds_per_photo=2))
    assert result["status"].tolist() == ["ok", "too_slow", "ok", "ok"]
    assert result["reason"][1] == "not done after 2 s; limits.seconds_per_photo allows no more"
    assert result["name"].dropna().tolist() == ["a", "b", "c"]
    assert not any(psutil.pid_exists(int(process)) for process in result["process"].dropna())


def test_a_photo_that_needs_too_much_memory_is_given_up_and_the_others_are_done():
    result = watched("a", "greedy", "b", limits=PhotoLimits(memory_mb_per_photo=60))
    assert result["status"].tolist() == ["ok", "too_much_memory", "ok"]
    assert result["reason"][1] == "more than 60 MB of memory; limits.memory_mb_per_photo allows no more"


def test_memory_that_earlier_photos_left_behind_is_not_held_against_a_photo():
    kept = []

    def leak(row):
        kept.append(np.ones(40_000_000, np.uint8))
        time.sleep(0.2)  # longer than between two looks
        return {"name": row["photo"]}

    result = watched(*"abcd", limits=PhotoLimits(memory_mb_per_photo=100), function=leak)
    assert result["status"].tolist() == ["ok"] * 4


@pytest.mark.parametrize(("name", "found"), [("segfault", "twice, by SIGSEGV"), ("leaves", "exit code 3")])
def test_a_photo_that_ends_its_worker_is_named_and_the_others_are_done(name, found, caplog):
    result = watched("a", name, "b", "refused", "wrong", "c")
    assert result["status"].tolist() == ["ok", "crashed", "ok", "no_face", "error", "ok"]
    assert found in result["reason"][1]
    assert f"{name}: the process" in caplog.text and "wrong: Traceback" in caplog.text


def test_a_worker_that_somebody_kills_once_costs_no_photo(tmp_path):
    def die_once(row):
        mark = tmp_path / "died"
        if row["photo"] == "b" and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return {"name": row["photo"]}

    assert watched("a", "b", "c", function=die_once)["name"].tolist() == ["a", "b", "c"]


def test_a_shard_in_which_every_photo_ends_its_worker_fails():
    with pytest.raises(EveryPhotoFailedError, match=r"all 2 photos .* SIGSEGV"):
        watched("segfault1", "segfault2")


def test_what_cannot_be_sent_ends_as_an_error():
    result = watched("a", "b", function=lambda row: {"name": (lambda: 0) if row["photo"] == "a" else "b"})
    assert result["status"].tolist() == ["error", "ok"] and "pickle" in result["reason"][0].lower()


PARENT = """
import signal, sys, time, pandas as pd
from pathlib import Path
from facemill.runtime.settings import PhotoLimits
from facemill.runtime.tables import map_photos

def wait(row):
    import os
    Path(sys.argv[1]).write_text(str(os.getpid()))
    time.sleep(600)

table = pd.DataFrame([{"photo": "a", "status": "ok", "reason": ""}])
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs ignore
map_photos(table, wait, [], limits=PhotoLimits())
"""


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_worker_does_not_outlive_its_parent(sent, tmp_path, repository):
    place = tmp_path / "worker"
    environment = {**os.environ, "PYTHONPATH": str(repository / "src")}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(place)], env=environment, stderr=subprocess.DEVNULL
    )
    worker = psutil.Process(int(wait_for_text(place)))
    time.sleep(0.5)  # the parent waits by now: at its start Ctrl-C may fall into a destructor and be lost
    parent.send_signal(sent)
    assert parent.wait(timeout=60) != 0
    worker_is_gone = psutil.wait_procs([worker], timeout=60)[1] == []
    assert worker_is_gone


def wait_for_text(path: Path) -> str:
    while not (path.exists() and path.read_text()):
        time.sleep(0.02)
    return path.read_text()


def test_a_disk_that_fails_ends_the_job_and_no_photo():
    """No row may say `error`: it would count as done, and nobody would try again."""

    def full(row):
        raise StorageError("a.png cannot be written", "room for it", "no space left on the disk", "make room")

    with pytest.raises(StorageError, match="no space left") as caught:
        map_photos(table("a", "b"), full, ["score"], limits=GENEROUS)
    assert caught.value.remedy == "make room"
