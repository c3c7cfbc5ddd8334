"""A Slurm of one node in one folder: munged, slurmctld and slurmd as root, without systemd.

Debian's packages munge, slurmctld, slurmd and slurm-client are all it needs. No accounting: jobs are watched
by squeue. Memory limits are not enforced (no cgroups).
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

PROGRAMS = ("munged", "munge", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "sinfo")
SYSTEM_FOLDER = Path("/etc/slurm")  # Slurm's commands look here once a job step has lost SLURM_CONF
CONTROLLER_PORT, NODE_PORT = 16817, 16818
NODE_TIMEOUT = 10  # seconds of silence after which the controller gives a node up
REQUEUE_DELAY = 10  # seconds that a requeued job waits at least; Slurm's own default is 120
GPUS = 2

_CONFIGURATION = """\
ClusterName=facemill
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire={requeue_delay}
CredType=cred/munge
SlurmctldPort={controller_port}
SlurmdPort={node_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SlurmdTimeout={timeout}
JobRequeue=1
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=0,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MinJobAge=600
KillWait=5
InactiveLimit=0
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory={memory} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing_programs() -> list[str]:
    """What of Slurm is not installed."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return [name for name in PROGRAMS if shutil.which(name, path=path) is None]


class SlurmCluster:
    """A cluster between `start` and `stop`; also a context manager.

    Args:
        folder: empty; everything but the links in /etc/slurm lies there. A short path: sockets have limits.
    Raises:
        RuntimeError: on `start`, /etc/slurm belongs to another cluster.
        TimeoutError: a daemon does not answer; its log is in the message.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = socket.gethostname().partition(".")[0]
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._links: list[Path] = []

    def __enter__(self) -> SlurmCluster:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the daemons and wait until the node is idle."""
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True)
        self._write_configuration()
        key, seed = self.folder / "munge.key", self.folder / "munge.seed"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(1024))
        socket_file = self.folder / "munge.socket"
        self._run_daemon(
            "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={socket_file}",
            f"--pid-file={self.folder}/munged.pid", f"--seed-file={seed}",
            f"--log-file={self.folder}/munged.log",
        )  # fmt: skip
        self._wait(20, "munged", lambda: _succeeds("munge", "-S", str(socket_file), "-n", "-o", "/dev/null"))
        self._run_daemon("slurmctld", "-D", "-i")
        self._wait(30, "slurmctld", lambda: _succeeds("scontrol", "ping"))
        self.start_node()

    def start_node(self) -> None:
        """Start the node's daemon and wait until the node takes jobs."""
        self._run_daemon("slurmd", "-D", "-N", self.host)
        self._wait(60, "slurmd", lambda: self.node_state() in ("idle", "mixed", "allocated"))

    def kill_node(self) -> None:
        """kill -9 of the node's daemon and of all that runs on the node, as when its power fails."""
        steps = [process for process in psutil.process_iter(["name"]) if process.info["name"] == "slurmstepd"]
        victims = [child for step in steps for child in step.children(recursive=True)] + steps
        daemon = self._daemons.pop("slurmd")
        daemon.kill()
        daemon.wait()
        for victim in victims:
            if victim.is_running():
                victim.kill()

    def wait_until_node_is_given_up(self) -> None:
        """Wait until the controller has noticed that the node is silent."""
        self._wait(NODE_TIMEOUT * 12, "the node's end", lambda: self.node_state().startswith("down"))

    def node_state(self) -> str:
        """As sinfo has it, without the marks of states in transition: idle, mixed, allocated, down …"""
        return _output("sinfo", "--noheader", "--format=%T").strip().rstrip("*~#%$@+^-!")

    def running_jobs(self) -> list[str]:
        """Ids of running jobs."""
        return _output("squeue", "--noheader", "--states=RUNNING", "--format=%A").split()

    def processes_of(self, job: str) -> list[psutil.Process]:
        """Processes of a job on the node, those of its batch script and steps included."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("SLURM_JOB_ID") == job:
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue  # it ended meanwhile
        return found

    def stop(self) -> None:
        """Stop all daemons by their process ids, and take the links away."""
        if "slurmctld" in self._daemons:
            subprocess.run(["scancel", "--user", "root"], check=False, capture_output=True, timeout=20)
        for name in reversed(list(self._daemons)):
            daemon = self._daemons.pop(name)
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        for link in self._links:
            link.unlink(missing_ok=True)
        self._links.clear()

    def daemons(self) -> list[int]:
        """Process ids of what was started and still runs."""
        return [daemon.pid for daemon in self._daemons.values() if daemon.poll() is None]

    def _write_configuration(self) -> None:
        memory = psutil.virtual_memory().total // 2**20 - 512
        texts = {
            "slurm.conf": _CONFIGURATION.format(
                host=self.host, folder=self.folder, cores=os.cpu_count(), memory=memory, gpus=GPUS,
                controller_port=CONTROLLER_PORT, node_port=NODE_PORT, timeout=NODE_TIMEOUT,
                requeue_delay=REQUEUE_DELAY,
            ),
            "gres.conf": f"Name=gpu File={self.folder}/gpu[0-{GPUS - 1}]\n",
            "cgroup.conf": "",
        }  # fmt: skip
        for number in range(GPUS):  # slurmd counts files that exist
            (self.folder / f"gpu{number}").touch()
        SYSTEM_FOLDER.mkdir(exist_ok=True)
        for name, text in texts.items():
            (self.folder / name).write_text(text)
            link = SYSTEM_FOLDER / name
            if link.is_symlink() and not _is_alive(link):
                link.unlink()  # of a test that was killed
            if link.exists():
                raise RuntimeError(f"{link} is there: this machine belongs to another Slurm cluster")
            link.symlink_to(self.folder / name)
            self._links.append(link)

    def _run_daemon(self, name: str, *arguments: str) -> None:
        program = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        assert program is not None, name
        with (self.folder / f"{name}.out").open("ab") as output:
            self._daemons[name] = subprocess.Popen(
                [program, *arguments], stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    def _wait(self, seconds: float, what: str, done: Callable[[], Any]) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what} did not answer within {seconds} s\n{self._logs()}")
            time.sleep(0.2)

    def _logs(self) -> str:
        ends = (path.read_text(errors="replace")[-2000:] for path in sorted(self.folder.glob("*.log")))
        return "\n".join(ends)


def _is_alive(link: Path) -> bool:
    """Whether the controller of the cluster that a link leads to still runs."""
    pid_file = link.resolve().parent / "slurmctld.pid"
    return pid_file.is_file() and psutil.pid_exists(int(pid_file.read_text() or 0))


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, check=False, text=True).stdout
