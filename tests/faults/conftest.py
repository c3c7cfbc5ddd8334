"""What the tests of faults share."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from faults.disks import Disk, small_disk
from workflow.kill_scenes import RESULTS


@pytest.fixture
def copied(tmp_path, undisturbed) -> Callable[[str], Path]:
    """Name of a scene → a copy of its undisturbed run, Snakemake's memory included."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(undisturbed(name), tmp_path / "disturbed", symlinks=True))

    return copy


@pytest.fixture
def on_disk(tmp_path, undisturbed) -> Iterator[Callable[[str], tuple[Path, Disk]]]:
    """Name of a scene → such a copy whose results lie on a disk of their own, and the disk."""
    with ExitStack() as mounted:

        def copy(name: str) -> tuple[Path, Disk]:
            folder, model = tmp_path / "disturbed", undisturbed(name)
            disk = mounted.enter_context(small_disk(folder / RESULTS))
            shutil.copytree(model, folder, symlinks=True, dirs_exist_ok=True)
            return folder, disk

        yield copy
