"""Two Snakemakes at once: one run belongs to one of them, two runs share a folder."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from faults.scenes import MADE, take_away
from workflow.comparison import check_equal, contents
from workflow.kill_scenes import SCENES, Scene
from workflow.processes import wait_for_script
from workflow.running import run_snakemake, snakemake_call
from workflow.undisturbed import TIMEOUT, finish, results_of

pytestmark = pytest.mark.faults
GOAL = MADE["reconstruct_coarse"].goal


@contextmanager
def one_at_work(folder: Path, scene: Scene) -> Iterator[subprocess.Popen]:
    """A Snakemake that makes `GOAL`, held in the middle of a rule until the block ends; it has to succeed."""
    for rule in ("align_faces", "reconstruct_coarse"):
        take_away(results_of(folder), MADE[rule])
    with (folder / "first.log").open("w") as log:
        running = subprocess.Popen(**snakemake_call(folder, scene.configuration, GOAL), stdout=log)
    script = wait_for_script(running, "align_faces")
    assert script is not None
    script.suspend()
    try:
        yield running
    finally:
        script.resume()
        code = running.wait(TIMEOUT)
    assert code == 0, (folder / "first.log").read_text()


def test_a_second_one_on_the_same_run_is_refused(copied, undisturbed, faults):
    scene, folder = SCENES["photos"], copied("photos")
    with faults.fault("two at once: the same run"):
        with one_at_work(folder, scene):
            second = run_snakemake(folder, scene.configuration, GOAL, timeout=TIMEOUT)
        assert second.code != 0 and "cannot be locked" in second.output, second.output
        finish(folder, scene, GOAL)
        check_equal(results_of(folder), results_of(undisturbed("photos")))


def test_a_second_one_is_refused_without_snakemake_s_lock(copied, undisturbed, faults):
    """Snakemake removes the locks of all runs in a folder when one of them ends."""
    scene, folder = SCENES["photos"], copied("photos")
    with faults.fault("two at once: Snakemake's lock is gone"):
        with one_at_work(folder, scene) as first:
            shutil.rmtree(folder / ".snakemake" / "locks")
            second = run_snakemake(folder, scene.configuration, GOAL, timeout=TIMEOUT)
        assert second.code != 0 and f"process {first.pid} on" in second.output, second.output
        finish(folder, scene, GOAL)
        check_equal(results_of(folder), results_of(undisturbed("photos")))


def test_two_runs_share_a_folder(tmp_path, undisturbed, faults):
    goals = {name: GOAL.replace("results/kill", f"results/{name}") for name in ("one", "two")}
    with faults.fault("two at once: different runs"):
        running = {}
        for name, goal in goals.items():
            configuration = {**SCENES["photos"].configuration, "run": name}
            call = snakemake_call(tmp_path, configuration, goal)
            own = tmp_path / f"{name}.yaml"  # the other call writes its own to the usual place
            shutil.copy(call["args"][-1], own)
            call["args"][-1] = str(own)
            with (tmp_path / f"{name}.log").open("w") as log:
                running[name] = subprocess.Popen(**call, stdout=log)
        codes = {name: process.wait(TIMEOUT) for name, process in running.items()}
        assert codes == {"one": 0, "two": 0}, [(tmp_path / f"{n}.log").read_text() for n in goals]
        expected = contents(results_of(undisturbed("photos")))
        for name in goals:
            found = contents(tmp_path / "results" / name)
            assert found
            assert [file for file in found if found[file] != expected[file]] == []
