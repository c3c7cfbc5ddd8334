"""The profile on a real Slurm: the bytes of a run at home, also when a job and then the node are killed."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from slurm.cluster import SlurmCluster, missing_programs
from workflow.running import QUICK_FIT, ROOT, run_snakemake

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


@pytest.fixture(scope="module")
def at_home(tmp_path_factory) -> dict[str, bytes]:
    """Results of the same targets without Slurm."""
    folder = tmp_path_factory.mktemp("home")
    done = run_snakemake(folder, CONFIGURATION, *FACES, *CAPTURES)
    assert done.code == 0, done.output
    return results_of(folder, "photos", "coarse", "multiview")


def results_of(folder: Path, *parts: str) -> dict[str, bytes]:
    """Path below the results -> bytes, of what photos and captures became."""
    root = folder / RESULTS
    files = [path for part in parts for name in COMPARED for path in (root / part).rglob(name)]
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def start_on_slurm(folder: Path, *targets: str) -> subprocess.Popen[str]:
    """Call Snakemake with the profile, as a user would; without accounting squeue watches the jobs."""
    configuration = folder / "test-config.yaml"
    configuration.write_text(yaml.safe_dump(CONFIGURATION))
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "workflow" / "Snakefile"),
        "--workflow-profile", str(ROOT / "workflow" / "profiles" / "slurm"),
        "--slurm-status-command", "squeue", "--slurm-no-account",
        "--slurm-init-seconds-before-status-checks", "5",
        "--latency-wait", "5", "--directory", str(folder), "--nocolor", *targets,
        "--configfile", str(configuration),
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_WAIT_POLICY": "passive"}
    environment.pop("SLURM_JOB_ID", None)
    output = (folder / "output.txt").open("w")
    return subprocess.Popen(
        command, env=environment, stdout=output, stderr=subprocess.STDOUT, text=True, cwd=folder
    )


def stop(call: subprocess.Popen[str]) -> None:
    """Let it not outlive the test."""
    if call.poll() is None:
        call.kill()
        call.wait()


def finish(call: subprocess.Popen[str], folder: Path) -> str:
    """Wait for the end; what was printed."""
    try:
        code = call.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        code = -1
    finally:
        stop(call)
    printed = (folder / "output.txt").read_text()
    assert code == 0, printed[-6000:]
    return printed


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
    printed = finish(start_on_slurm(tmp_path, *CAPTURES), tmp_path)
    assert "SLURM" in printed
    found = results_of(tmp_path, "multiview")
    assert any(name.startswith("multiview/fit_base_mesh/") for name in found)
    assert found == {name: content for name, content in at_home.items() if name.startswith("multiview/")}
    again = finish(start_on_slurm(tmp_path, *CAPTURES), tmp_path)
    assert "Nothing to be done" in again


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
        finish(call, tmp_path)
    finally:
        stop(call)
    expected = {name: content for name, content in at_home.items() if not name.startswith("multiview/")}
    assert results_of(tmp_path, "photos", "coarse") == expected
