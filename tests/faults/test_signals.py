"""SIGTERM of a scheduler's time limit, and Ctrl-C: jobs end, trainings keep their steps, no lock stays."""

import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from facemill.runtime.locks import LOCK
from faults.scenes import MADE, TRAINING, take_away
from workflow.comparison import check_equal
from workflow.kill_scenes import SCENES, Scene
from workflow.processes import wait_for_script
from workflow.running import snakemake_call
from workflow.undisturbed import TIMEOUT, finish, results_of

pytestmark = pytest.mark.faults


def start(folder: Path, scene: Scene, goal: str) -> subprocess.Popen:
    call = snakemake_call(folder, scene.configuration, goal)
    with (folder / "disturbed.log").open("w") as log:
        return subprocess.Popen(**call, stdout=log, start_new_session=True, preexec_fn=hear_ctrl_c)


def hear_ctrl_c() -> None:
    """Shells let what runs in the background ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for_file(running: subprocess.Popen, path: Path) -> None:
    """Wait until a file is there, or the run ends."""
    while running.poll() is None and not path.is_file():
        time.sleep(0.02)


def test_a_photo_rule_that_gets_sigterm(copied, undisturbed, faults):
    scene, made = SCENES["photos"], MADE["reconstruct_coarse"]
    folder = copied("photos")
    results = results_of(folder)
    with faults.fault("SIGTERM: a photo rule"):
        take_away(results, made)
        running = start(folder, scene, made.goal)
        script = wait_for_script(running, "reconstruct_coarse")
        assert script is not None
        script.send_signal(signal.SIGTERM)
        assert running.wait(TIMEOUT) != 0
        assert not (results / made.target).exists()
        finish(folder, scene, made.goal)
        check_equal(results, results_of(undisturbed("photos")))


def test_a_training_that_gets_sigterm_goes_on_from_its_step(copied, undisturbed, faults):
    scene, made = SCENES["trainings"], MADE["train_coarse"]
    folder = copied("trainings")
    results = results_of(folder)
    log = results / "logs" / "train_coarse.log"
    with faults.fault("SIGTERM: a training"):
        take_away(results, made)
        log.unlink()
        running = start(folder, scene, made.goal)
        script = wait_for_script(running, "train_coarse")
        assert script is not None
        wait_for_file(running, results / TRAINING / "run" / LOCK)  # from now on the trainer hears of it
        script.send_signal(signal.SIGTERM)
        assert running.wait(TIMEOUT) != 0, (folder / "disturbed.log").read_text()
        assert not (results / made.target).exists()
        assert "ended by SIGTERM after step" in log.read_text()
        assert (results / TRAINING / "run" / "last.pth").is_file()
        finish(folder, scene, made.goal)
        assert "going on after step" in log.read_text()
        check_equal(results, results_of(undisturbed("trainings")), (TRAINING,))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_snakemake_that_is_stopped(copied, undisturbed, faults, number):
    scene, made = SCENES["photos"], MADE["reconstruct_coarse"]
    folder = copied("photos")
    results = results_of(folder)
    with faults.fault(f"{number.name}: Snakemake"):
        for rule in ("align_faces", "reconstruct_coarse"):
            take_away(results, MADE[rule])
        running = start(folder, scene, made.goal)
        assert wait_for_script(running, "align_faces") is not None
        children = psutil.Process(running.pid).children(recursive=True)
        running.send_signal(number)
        running.wait(TIMEOUT)
        assert psutil.wait_procs(children, timeout=TIMEOUT)[1] == []
        assert not (results / made.target).exists()
        finish(folder, scene, made.goal)  # without --unlock
        check_equal(results, results_of(undisturbed("photos")))
