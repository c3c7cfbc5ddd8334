"""Runs that nobody disturbed, to compare disturbed ones with."""

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from workflow.kill_scenes import RESULTS, SCENES, Scene
from workflow.running import run_snakemake

TIMEOUT = 3600  # s, for one call on a busy machine


def finished_runs(factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a scene's undisturbed run, made when it is first asked for."""

    @cache
    def finished(name: str) -> Path:
        scene = SCENES[name]
        given = factory.mktemp(name) / "given"
        given.mkdir()
        if scene.files is not None:
            scene.files(given)
        folder = copy_of_given(given.with_name("undisturbed"), given)
        run = run_snakemake(folder, scene.configuration, *scene.goals, timeout=TIMEOUT)
        assert run.code == 0, run.output
        return folder

    return finished


def copy_of_given(folder: Path, given: Path) -> Path:
    """A folder for a run, with the files that its configuration names; tables tell when they were changed."""
    return Path(shutil.copytree(given, folder))


def finish(folder: Path, scene: Scene, *goals: str) -> str:
    """Call Snakemake as if nothing had happened; what it printed."""
    again = run_snakemake(folder, scene.configuration, *(goals or scene.goals), timeout=TIMEOUT)
    assert again.code == 0, again.output
    return again.output


def results_of(folder: Path) -> Path:
    """The folder of the results of a scene's run."""
    return folder / RESULTS
