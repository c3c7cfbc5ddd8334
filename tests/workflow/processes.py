"""Find and watch the processes of a running Snakemake."""

import subprocess
import time

import psutil


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
