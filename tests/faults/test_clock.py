"""Clocks that jump: what is made again is right, and no run is refused or begun anew for ever."""

import os
import shutil
import subprocess
import time

import pytest

from faults.scenes import MADE, take_away
from workflow.comparison import check_equal
from workflow.kill_scenes import SCENES
from workflow.running import run_snakemake, snakemake_call
from workflow.undisturbed import TIMEOUT, copy_of_given, finish, results_of

pytestmark = pytest.mark.faults
YEAR = 365 * 86400.0
#: libfaketime 0.9.10 asks the kernel for sleeps of impossible length in 7 of 80 starts of Snakemake; that is
#: no fault of the run, which is called again.
WRONG_SLEEP, ATTEMPTS = "OSError: [Errno 22] Invalid argument", 6


def shift_times(results, seconds: float) -> None:
    """Move the times of all files."""
    for path in results.rglob("*"):
        state = path.lstat()
        times = (state.st_atime_ns + int(seconds * 1e9), state.st_mtime_ns + int(seconds * 1e9))
        os.utime(path, ns=times, follow_symlinks=False)


def test_a_whole_run_from_the_future_is_not_made_again(copied, faults):
    scene, folder = SCENES["photos"], copied("photos")
    with faults.fault("clock jump: finished run"):
        shift_times(results_of(folder), YEAR)
        planned = run_snakemake(folder, scene.configuration, "--dry-run", timeout=TIMEOUT)
        assert planned.code == 0 and "Nothing to be done" in planned.output, planned.output


def test_inputs_from_the_future_are_worked_with(copied, undisturbed, faults):
    scene, made = SCENES["photos"], MADE["align_faces"]
    folder = copied("photos")
    results = results_of(folder)
    with faults.fault("clock jump: inputs from the future"):
        shift_times(results, YEAR)
        take_away(results, made)
        finish(folder, scene, made.goal)
        again = run_snakemake(folder, scene.configuration, made.goal, "--dry-run", timeout=TIMEOUT)
        assert "Nothing to be done" in again.output, again.output
        assert max(path.lstat().st_mtime for path in results.rglob("*")) <= time.time() + 1
        check_equal(results, results_of(undisturbed("photos")))


def test_a_run_whose_clock_was_ahead_goes_on_when_it_is_set_right(tmp_path, undisturbed, faults):
    faketime = shutil.which("faketime")
    if faketime is None:
        pytest.skip("Debian's package faketime is missing; make test-faults installs it")
    scene, model = SCENES["photos"], undisturbed("photos")
    folder = copy_of_given(tmp_path / "disturbed", model.with_name("given"))
    goal = MADE["detect_landmarks"].goal
    with faults.fault("clock jump: between two calls"):
        call = snakemake_call(folder, scene.configuration, MADE["detect_faces"].goal)
        call["args"] = [faketime, "-f", "+400d", *call["args"]]
        call["env"]["FAKETIME_DONT_FAKE_MONOTONIC"] = "1"  # waiting threads would never wake
        for _ in range(ATTEMPTS):
            ahead = subprocess.run(**call, stdout=subprocess.PIPE, timeout=TIMEOUT, check=False)
            if ahead.returncode == 0 or WRONG_SLEEP not in ahead.stdout:
                break
        assert ahead.returncode == 0, ahead.stdout
        finish(folder, scene, goal)
        again = run_snakemake(folder, scene.configuration, goal, "--dry-run", timeout=TIMEOUT)
        assert "Nothing to be done" in again.output, again.output
        found = ("photos/portraits/detect_faces", "photos/portraits/align_faces")
        check_equal(results_of(folder), results_of(model), found)
