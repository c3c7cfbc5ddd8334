"""The profile on a real Slurm: the bytes of a run at home, also when a job and then the node are killed."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from slurm.cluster import SlurmCluster, missing_programs
from workflow.running import QUICK_FIT, ROOT, snakemake_call

pytestmark = pytest.mark.slurm

RUN = "slurm"
_RIG = {"split": "test", "first": 44, "identities": 1, "views": 6, "level": 0, "width": 216, "height": 324}
CONFIGURATION = {
    "run": RUN,
    "photos": {"portraits": {"folder": str(ROOT / "resources" / "photos")}},
    "reconstruct_coarse": QUICK_FIT,
    "synthesis": {"captures": {"rig": _RIG}},
    "captures": {"heads": {"folder": "synthesis.captures.rig", "surface": False}},
}
RESULTS = f"results/{RUN}"
FACES = [f"{RESULTS}/photos/portraits/faces.csv", f"{RESULTS}/coarse/portraits/reconstruct_coarse/0000.npz"]
CAPTURES = [f"{RESULTS}/multiview/captures.csv"]
COMPARED = ("*.parquet", "*.npz", "*.csv", "*.png")
PATIENCE = 420.0


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.fixture(scope="module")
def cluster() -> Iterator[SlurmCluster]:
    missing = missing_programs()
    if missing or os.geteuid() != 0:
        reason = f"needs root, and {', '.join(missing) or 'nothing else'}; make test-slurm installs Slurm"
        if os.environ.get("FACEMILL_REQUIRE_SLURM"):
            pytest.fail(reason)
        pytest.skip(reason)
    signal.signal(signal.SIGTERM, interrupt)  # make's time limit: pytest itself would leave the daemons
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        Path(folder).chmod(0o755)
        with SlurmCluster(Path(folder)) as started:
            yield started
            assert len(started.daemons()) == 3
        assert not started.daemons()


@dataclass
class CallInBackground:
    """A call of Snakemake that goes on meanwhile; what it prints goes to `output.txt` of its folder."""

    process: subprocess.Popen[str]
    folder: Path

    def finish(self) -> str:
        """Wait for the end; what was printed."""
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            code = -1
        finally:
            self.stop()
        printed = (self.folder / "output.txt").read_text()
        assert code == 0, printed[-6000:]
        return printed

    def stop(self) -> None:
        """Let it not outlive the test."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def at_home(tmp_path_factory) -> Iterator[CallInBackground]:
    """The same targets without Slurm, begun beside the first run on Slurm, which waits most of its time."""
    folder = tmp_path_factory.mktemp("home")
    call = start(folder, snakemake_call(folder, CONFIGURATION, *FACES, *CAPTURES))
    yield call
    call.stop()


def results_of(folder: Path, *parts: str) -> dict[str, bytes]:
    """Path below the results -> bytes, of what photos and captures became."""
    root = folder / RESULTS
    files = [path for part in parts for name in COMPARED for path in (root / part).rglob(name)]
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def start(folder: Path, call: dict[str, Any]) -> CallInBackground:
    with (folder / "output.txt").open("w") as output:
        return CallInBackground(subprocess.Popen(**call, stdout=output, cwd=folder), folder)


def start_on_slurm(folder: Path, *targets: str) -> CallInBackground:
    """Call Snakemake with the profile, as a user would; without accounting squeue watches the jobs."""
    call = snakemake_call(
        folder, CONFIGURATION, *targets,
        "--workflow-profile", str(ROOT / "workflow" / "profiles" / "slurm"),
        "--slurm-status-command", "squeue", "--slurm-no-account",
        "--slurm-init-seconds-before-status-checks", "5", "--latency-wait", "5",
        cores=None,
    )  # fmt: skip
    call["env"].pop("SLURM_JOB_ID", None)
    return start(folder, call)


def scripts_of(cluster: SlurmCluster, deadline: float) -> list[psutil.Process]:
    """Wait until a job runs a script of ours; its processes that do."""
    while time.monotonic() < deadline:
        for job in cluster.running_jobs():
            found = [one for one in cluster.processes_of(job) if runs_a_script(one)]
            if found:
                return found
        time.sleep(0.1)
    raise TimeoutError("no job ran a script")


def runs_a_script(process: psutil.Process) -> bool:
    try:
        return any(".snakemake/scripts" in word for word in process.cmdline())
    except psutil.NoSuchProcess:
        return False


def test_a_capture_leaves_the_bytes_of_a_run_at_home(cluster, at_home, tmp_path):
    printed = start_on_slurm(tmp_path, *CAPTURES).finish()
    assert "SLURM" in printed
    found = results_of(tmp_path, "multiview")
    assert any(name.startswith("multiview/fit_base_mesh/") for name in found)
    again = start_on_slurm(tmp_path, *CAPTURES).finish()
    assert "Nothing to be done" in again
    at_home.finish()
    assert found == results_of(at_home.folder, "multiview")


def test_photos_survive_a_killed_job_and_a_dead_node(cluster, at_home, tmp_path):
    call = start_on_slurm(tmp_path, *FACES)
    try:
        deadline = time.monotonic() + PATIENCE / 2
        for victim in scripts_of(cluster, deadline):
            victim.kill()
        scripts_of(cluster, deadline)  # it runs again, or another one does
        cluster.kill_node()
        cluster.wait_until_node_is_given_up()
        cluster.start_node()
        call.finish()
    finally:
        call.stop()
    at_home.finish()
    found = results_of(tmp_path, "photos", "coarse")
    assert any(name.startswith("coarse/") for name in found)
    assert found == results_of(at_home.folder, "photos", "coarse")
