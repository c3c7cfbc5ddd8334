"""kill -9 in the middle of each rule: the next run completes, and its tables equal the undisturbed ones."""

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from workflow.running import QUICK_FIT, ROOT, run_snakemake, snakemake_call

CONFIGURATION = {
    "run": "kill",
    "photos": {"portraits": {"folder": str(ROOT / "resources" / "photos")}},
    "reconstruct_coarse": QUICK_FIT,
}
RULES = (
    "prepare_model",
    "index_photos",
    "detect_faces",
    "align_faces",
    "detect_landmarks",
    "segment_skin",
    "split_dataset",
    "tabulate_faces",
    "reconstruct_coarse",
    "export_coarse",
    "write_report",
)


def digests(folder: Path) -> dict[str, bytes]:
    """Content of every result but logs, times and the page that shows them."""
    results = folder / "results" / "kill"
    files = [path for path in sorted(results.rglob("*")) if path.is_file()]
    names = {path: path.relative_to(results).as_posix() for path in files}
    skipped = ("logs/", "benchmarks/", "report.html")
    return {name: path.read_bytes() for path, name in names.items() if not name.startswith(skipped)}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed")
    run = run_snakemake(folder, CONFIGURATION)
    assert run.code == 0, run.output
    return digests(folder)


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
        time.sleep(0.02)
    return script


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.0, 1.5], ids=["at once", "in the middle"])
@pytest.mark.parametrize("rule", RULES)
def test_killed_rule_leaves_nothing_half_made(tmp_path, undisturbed, rule, delay):
    with (tmp_path / "first-run.log").open("w") as log:
        running = subprocess.Popen(**snakemake_call(tmp_path, CONFIGURATION), stdout=log)
    victim = wait_for_script(running, rule)
    assert victim is not None, f"{rule} was not seen running"
    time.sleep(delay)
    if victim.is_running():
        victim.send_signal(signal.SIGKILL)
    running.wait(timeout=300)
    again = run_snakemake(tmp_path, CONFIGURATION)
    assert again.code == 0, again.output
    assert digests(tmp_path) == undisturbed


@pytest.mark.slow
def test_killed_snakemake_is_resumed_after_unlocking(tmp_path, undisturbed):
    with (tmp_path / "first-run.log").open("w") as log:
        call = snakemake_call(tmp_path, CONFIGURATION)
        running = subprocess.Popen(**call, stdout=log, start_new_session=True)
    assert wait_for_script(running, "reconstruct_coarse") is not None
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert run_snakemake(tmp_path, CONFIGURATION, "--unlock").code == 0
    again = run_snakemake(tmp_path, CONFIGURATION)
    assert again.code == 0, again.output
    assert digests(tmp_path) == undisturbed
