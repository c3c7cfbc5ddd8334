"""A disk of its own size for a folder: a tmpfs, mounted by root."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

LARGE = 2 << 30  # bytes


class Disk:
    """A mounted tmpfs."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def leave_room(self, room: int) -> None:
        """Make the disk as large as what is on it and `room` bytes more."""
        used = shutil.disk_usage(self.place).used
        self._remount(f"size={used + room}")

    def enlarge(self) -> None:
        """Give back all room."""
        self._remount(f"size={LARGE}")

    def forbid_writing(self) -> None:
        """Make it read-only."""
        self._remount("ro")

    def allow_writing(self) -> None:
        """Make it writable again."""
        self._remount("rw")

    def _remount(self, options: str) -> None:
        _run("mount", "--options", f"remount,{options}", str(self.place))


@contextmanager
def small_disk(place: Path) -> Iterator[Disk]:
    """Mount an empty disk at `place`, which is made; skips the test where that is not allowed."""
    place.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    options = ["--types", "tmpfs", "--options", f"size={LARGE}", "facemill-faults"]
    mounted = subprocess.run(["mount", *options, str(place)], check=False, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield Disk(place)
    finally:
        _run("umount", "--lazy", str(place))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=60)
