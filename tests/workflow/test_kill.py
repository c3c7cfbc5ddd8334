"""kill -9 in the middle of every rule: the next run completes, and its files equal the undisturbed ones."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pandas as pd
import psutil
import pytest

from workflow.kill_scenes import RESULTS, SCENES, Scene
from workflow.running import ROOT, run_snakemake, snakemake_call

TIMEOUT = 3600  # s, for one call on a busy machine
ATTEMPTS = 4  # a rule may be faster than it was in the undisturbed run; then it is tried again, sooner


def contents(folder: Path) -> dict[str, bytes]:
    """What every result says but for times."""
    results = folder / RESULTS
    files = [path for path in sorted(results.rglob("*")) if path.is_file()]
    names = {path: path.relative_to(results).as_posix() for path in files}
    return {name: content(path) for path, name in names.items() if not tells_times(name)}


def tells_times(name: str) -> bool:
    """Logs, measured times, the files that show them, and TensorBoard's events, which hold a clock."""
    timed = ("logs/", "benchmarks/", "report.html", "plan.csv", "costs.csv")
    return name.startswith(timed) or "/run/tensorboard/" in name


def content(path: Path) -> bytes:
    """The bytes of a file; of the journal of a training without its speed."""
    if path.name != "metrics.csv":
        return path.read_bytes()
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    return table.drop(columns="images_per_second").to_csv(index=False).encode()


def seconds_of(folder: Path, rule: str) -> float:
    """How long a job of `rule` took in a run that has ended."""
    place = folder / RESULTS / "benchmarks"
    files = [*place.glob(f"{rule}.tsv"), *(place / rule).rglob("*.tsv")]
    return min(float(pd.read_csv(file, sep="\t")["s"].iloc[0]) for file in files)


def script_of(process: psutil.Process, rule: str) -> psutil.Process | None:
    """The child of a running Snakemake that executes the script of `rule`."""
    for child in process.children(recursive=True):
        try:
            if any(part.endswith(f".{rule}.py") for part in child.cmdline()) and "python" in child.name():
                return child
        except psutil.NoSuchProcess:
            continue
    return None


def wait_for_script(running: subprocess.Popen, rule: str) -> psutil.Process | None:
    """Wait until a running Snakemake executes the script of `rule`; None when it ends before."""
    process, script = psutil.Process(running.pid), None
    while running.poll() is None and script is None:
        script = script_of(process, rule)
        time.sleep(0.1)
    return script


def kill_in(folder: Path, scene: Scene, rule: str, delay: float) -> bool:
    """Start what is missing up to `rule` and kill it `delay` seconds after its start; whether it was hit."""
    call = snakemake_call(folder, scene.configuration, *scene.goals, "--until", rule)
    with (folder / "killed.log").open("w") as log:
        running = subprocess.Popen(**call, stdout=log)
    victim = wait_for_script(running, rule)
    assert victim is not None, f"{rule} was not seen running:\n{(folder / 'killed.log').read_text()}"
    time.sleep(delay)
    if victim.is_running():
        victim.send_signal(signal.SIGKILL)
    return running.wait(timeout=TIMEOUT) != 0


def kill_in_the_middle(folder: Path, scene: Scene, rule: str, delay: float) -> None:
    """Kill `rule` after `delay`, sooner where it ends before; `folder` stays as the kill leaves it."""
    before = folder.with_name("before")
    shutil.copytree(folder, before, symlinks=True)
    for _ in range(ATTEMPTS):
        if kill_in(folder, scene, rule, delay):
            shutil.rmtree(before)
            return
        shutil.rmtree(folder)
        shutil.copytree(before, folder, symlinks=True)
        delay *= 0.6
    pytest.fail(f"{rule} always ended before it could be killed")


def finish_and_compare(folder: Path, scene: Scene, model: Path) -> None:
    """Call Snakemake as if nothing had happened; the results are those of `model`."""
    again = run_snakemake(folder, scene.configuration, *scene.goals, timeout=TIMEOUT)
    assert again.code == 0, again.output
    expected, found = contents(model), contents(folder)
    assert sorted(found) == sorted(expected)
    assert [file for file in expected if found[file] != expected[file]] == []


def copy_of_given(folder: Path, given: Path) -> Path:
    """A folder for a run, with the files that its configuration names; tables tell when they were changed."""
    return Path(shutil.copytree(given, folder))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Callable[[str], Path]:
    """The folder of a run that nobody disturbed, made when a test first asks."""

    @cache
    def finished(name: str) -> Path:
        scene = SCENES[name]
        given = tmp_path_factory.mktemp(name) / "given"
        given.mkdir()
        if scene.files is not None:
            scene.files(given)
        folder = copy_of_given(given.with_name("undisturbed"), given)
        run = run_snakemake(folder, scene.configuration, *scene.goals, timeout=TIMEOUT)
        assert run.code == 0, run.output
        return folder

    return finished


def test_every_rule_is_killed():
    rules = [
        rule
        for path in sorted((ROOT / "workflow" / "rules").glob("*.smk"))
        for rule in re.findall(r"^rule (\w+):", path.read_text(), re.MULTILINE)
    ]
    killed = [rule for scene in SCENES.values() for rule in scene.kills]
    assert sorted(rules) == sorted(killed), "name new rules in the kills of a run in kill_scenes.py"


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES)
def test_killed_rules_leave_nothing_half_made(tmp_path, undisturbed, name):
    """One run is killed in each of its rules in turn, each next call going on where the kill left it."""
    scene, model = SCENES[name], undisturbed(name)
    folder = copy_of_given(tmp_path / "disturbed", model.with_name("given"))
    for rule in scene.kills:
        for share in scene.shares:
            kill_in_the_middle(folder, scene, rule, share * seconds_of(model, rule))
    finish_and_compare(folder, scene, model)


@pytest.mark.slow
def test_killed_snakemake_is_resumed_after_unlocking(tmp_path, undisturbed):
    scene, model = SCENES["photos"], undisturbed("photos")
    folder = copy_of_given(tmp_path / "disturbed", model.with_name("given"))
    call = snakemake_call(folder, scene.configuration)
    with (tmp_path / "first-run.log").open("w") as log:
        running = subprocess.Popen(**call, stdout=log, start_new_session=True)
    assert wait_for_script(running, "reconstruct_coarse") is not None
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert run_snakemake(folder, scene.configuration, "--unlock").code == 0
    finish_and_compare(folder, scene, model)
