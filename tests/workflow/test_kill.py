"""kill -9 in the middle of every rule: the next run completes, and its files equal the undisturbed ones."""

import os
import re
import shutil
import signal
import subprocess
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from random import Random

import pandas as pd
import psutil
import pytest

from workflow.comparison import check_equal
from workflow.kill_scenes import RESULTS, SCENES, Scene
from workflow.processes import wait_for_script
from workflow.running import ROOT, run_snakemake, snakemake_call
from workflow.undisturbed import TIMEOUT, copy_of_given, finish

SEED_NAME = "FACEMILL_FAULT_SEED"
SEED = os.environ.get(SEED_NAME, "0")
ATTEMPTS = 4  # a rule may be faster than it was in the undisturbed run; then it is tried again, sooner


def seconds_of(folder: Path, rule: str) -> float:
    """How long a job of `rule` took in a run that has ended."""
    place = folder / RESULTS / "benchmarks"
    files = [*place.glob(f"{rule}.tsv"), *(place / rule).rglob("*.tsv")]
    return min(float(pd.read_csv(file, sep="\t")["s"].iloc[0]) for file in files)


def kill_in(folder: Path, scene: Scene, rule: str, delay: float) -> float | None:
    """Start what is missing up to `rule` and kill it `delay` seconds after its start.

    Returns:
        None where it was hit; else how many seconds it was seen running.
    """
    call = snakemake_call(folder, scene.configuration, *scene.goals, "--until", rule)
    with (folder / "killed.log").open("w") as log:
        running = subprocess.Popen(**call, stdout=log)
    victim = wait_for_script(running, rule)
    assert victim is not None, f"{rule} was not seen running:\n{(folder / 'killed.log').read_text()}"
    began = time.monotonic()
    with suppress(psutil.TimeoutExpired):
        victim.wait(delay)
    ran = time.monotonic() - began
    if victim.is_running():
        victim.send_signal(signal.SIGKILL)
    return None if running.wait(timeout=TIMEOUT) != 0 else ran


def kill_in_the_middle(folder: Path, scene: Scene, rule: str, delay: float) -> None:
    """Kill `rule` after `delay`, sooner where it ends before; `folder` stays as the kill leaves it."""
    before = folder.with_name("before")
    shutil.copytree(folder, before, symlinks=True)
    for _ in range(ATTEMPTS):
        ran = kill_in(folder, scene, rule, delay)
        if ran is None:
            shutil.rmtree(before)
            return
        shutil.rmtree(folder)
        shutil.copytree(before, folder, symlinks=True)
        delay = 0.6 * min(delay, ran)
    pytest.fail(f"{rule} always ended before it could be killed")


def shares_of(scene: Scene, rule: str) -> tuple[float, ...]:
    """When in a rule to kill it: at fixed shares of its time, and at one drawn for this rule and seed."""
    return (*scene.shares, Random(f"{SEED} {rule}").uniform(0.05, 0.95))


def test_every_rule_is_killed():
    rules = [
        rule
        for path in sorted((ROOT / "workflow" / "rules").glob("*.smk"))
        for rule in re.findall(r"^rule (\w+):", path.read_text(), re.MULTILINE)
    ]
    killed = [rule for scene in SCENES.values() for rule in scene.kills]
    assert sorted(rules) == sorted(killed), "name new rules in the kills of a run in kill_scenes.py"


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("name", SCENES)
def test_killed_rules_leave_nothing_half_made(tmp_path, undisturbed, faults, name):
    """One run is killed in each of its rules in turn, each next call going on where the kill left it."""
    scene, model = SCENES[name], undisturbed(name)
    folder = copy_of_given(tmp_path / "disturbed", model.with_name("given"))
    print(f"random times of kills: {SEED_NAME}={SEED}")
    with ExitStack() as survived:
        for rule in scene.kills:
            for share in shares_of(scene, rule):
                survived.enter_context(faults.fault("kill -9 of a rule"))
                kill_in_the_middle(folder, scene, rule, share * seconds_of(model, rule))
        finish(folder, scene)
        check_equal(folder / RESULTS, model / RESULTS)


@pytest.mark.slow
@pytest.mark.faults
def test_killed_snakemake_is_resumed_after_unlocking(tmp_path, undisturbed, faults):
    scene, model = SCENES["photos"], undisturbed("photos")
    folder = copy_of_given(tmp_path / "disturbed", model.with_name("given"))
    call = snakemake_call(folder, scene.configuration)
    with faults.fault("kill -9 of Snakemake and its jobs"):
        with (tmp_path / "first-run.log").open("w") as log:
            running = subprocess.Popen(**call, stdout=log, start_new_session=True)
        assert wait_for_script(running, "reconstruct_coarse") is not None
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        refused = run_snakemake(folder, scene.configuration)
        assert refused.code != 0 and "--unlock" in refused.output, refused.output
        assert run_snakemake(folder, scene.configuration, "--unlock").code == 0
        finish(folder, scene)
        check_equal(folder / RESULTS, model / RESULTS)
