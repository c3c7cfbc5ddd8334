"""Run Snakemake on a configuration, in a folder of its own, as a user would."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]

# Enough for a result of every kind, not for a good one: tests of the workflow do not judge faces.
QUICK_FIT = {"photometric": {"levels": [{"reduction": 4, "steps": 3}]}}


@dataclass
class Run:
    """What a call of Snakemake left."""

    code: int
    output: str

    @property
    def jobs(self) -> dict[str, int]:
        """Jobs that ran or, in a dry run, would run: rule → number, as in Snakemake's own statistics."""
        table = re.search(r"^job +count\n[- ]+\n(.*?)\n\n", self.output, re.MULTILINE | re.DOTALL)
        rows = [line.split() for line in table[1].splitlines()] if table else []
        return {name: int(count) for name, count in rows if name != "total"}


def snakemake_call(
    folder: Path, configuration: dict[str, Any], *arguments: str, cores: int | None = 2
) -> dict[str, Any]:
    """Arguments for `subprocess` that call Snakemake with `folder` as working directory."""
    path = folder / "test-config.yaml"
    path.write_text(yaml.safe_dump(configuration))
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "workflow" / "Snakefile")]
    command += ["--directory", str(folder), "--nocolor", *arguments]
    command += [] if cores is None else ["--cores", str(cores)]
    command += ["--configfile", str(path)]  # last: it takes all that follows for further files
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_WAIT_POLICY": "passive"}
    return {"args": command, "env": environment, "stderr": subprocess.STDOUT, "text": True}


def run_snakemake(folder: Path, configuration: dict[str, Any], *arguments: str, timeout: float = 600) -> Run:
    """Call Snakemake with `folder` as working directory; returns its exit code and output."""
    call = snakemake_call(folder, configuration, *arguments)
    done = subprocess.run(**call, stdout=subprocess.PIPE, timeout=timeout, check=False)
    return Run(done.returncode, done.stdout)
