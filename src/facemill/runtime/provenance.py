"""What a run was made of: code, versions, configuration, seeds and digests of what went in."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from facemill.runtime.files import write_json

FORMAT = "facemill-provenance-1"
BLOCK = 1 << 20


def write_provenance(
    path: str | Path,
    root: str | Path,
    configuration: Mapping[str, Any],
    plans: Iterable[str | Path],
    files: Iterable[str | Path],
) -> None:
    """Write `provenance.json`; equal runs on equal machines give equal bytes, so it holds no time.

    Args:
        root: the repository: its commit, and constraints.txt, which names the packages.
        configuration: checked, with all defaults.
        plans: files that list the photos or captures of each set with their sizes and times.
        files: models and weights that the configuration names; those that are still to be made say so.
    """
    root = Path(root)
    text = json.dumps(configuration, sort_keys=True, default=str)
    write_json(
        path,
        {
            "format": FORMAT,
            "code": commit_of(root),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "packages": installed_packages(root / "constraints.txt"),
            "seed": configuration.get("seed"),
            "configuration_sha256": hashlib.sha256(text.encode()).hexdigest(),
            "configuration": dict(configuration),
            "plans": {str(plan): digest_of(plan) for plan in sorted(map(str, plans))},
            "files": {str(file): digest_of(file) for file in sorted(map(str, files))},
        },
    )


def commit_of(root: Path) -> dict[str, Any]:
    """The commit that is checked out in a repository, and whether tracked files differ from it.

    Where there is no repository (an archive) or no git both are None, and `reason` says so.
    """
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changed = bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError) as error:
        told = getattr(error, "stderr", None) or str(error)
        return {"commit": None, "changed": None, "reason": told.strip().splitlines()[0]}
    return {"commit": commit, "changed": changed, "reason": ""}


def installed_packages(constraints: Path) -> dict[str, str]:
    """Versions of the packages of constraints.txt that are installed, by name."""
    names = [line.partition("==")[0].strip() for line in constraints.read_text().splitlines() if "==" in line]
    found = {}
    for name in sorted(names, key=str.lower):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def digest_of(path: str | Path) -> dict[str, Any]:
    """`sha256` and `bytes` of a file; both None where there is none yet."""
    try:
        with Path(path).open("rb") as file:
            total, length = hashlib.sha256(), 0
            while block := file.read(BLOCK):
                total.update(block)
                length += len(block)
    except (FileNotFoundError, IsADirectoryError):
        return {"sha256": None, "bytes": None}
    return {"sha256": total.hexdigest(), "bytes": length}


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *words], check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout.strip()
