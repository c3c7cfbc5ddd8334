"""Results that may not be written: a clear error, and the same bytes once they may."""

import subprocess

import pytest

from faults.scenes import MADE, take_away
from workflow.comparison import check_equal
from workflow.kill_scenes import SCENES
from workflow.running import run_snakemake
from workflow.undisturbed import TIMEOUT, finish, results_of

pytestmark = pytest.mark.faults


def test_a_disk_that_turns_read_only(on_disk, undisturbed, faults):
    scene, made = SCENES["photos"], MADE["align_faces"]
    folder, disk = on_disk("photos")
    with faults.fault("read-only disk"):
        take_away(results_of(folder), made)
        disk.forbid_writing()
        failed = run_snakemake(folder, scene.configuration, made.goal, timeout=TIMEOUT)
        assert failed.code != 0 and "ead-only" in failed.output, failed.output
        assert "/kill/" in failed.output
        disk.allow_writing()
        finish(folder, scene, made.goal)
        check_equal(results_of(folder), results_of(undisturbed("photos")))


@pytest.mark.parametrize("rule", ["align_faces", "reconstruct_coarse"])
def test_a_folder_that_may_not_be_written(copied, undisturbed, faults, rule):
    scene, made = SCENES["photos"], MADE[rule]
    folder = copied("photos")
    results = results_of(folder)
    with faults.fault("permission lost"):
        take_away(results, made)
        closed = (results / made.target).parent
        locked = subprocess.run(["chattr", "+i", str(closed)], check=False, capture_output=True, text=True)
        if locked.returncode:
            pytest.skip(f"root writes everywhere, and chattr says: {locked.stderr.strip()}")
        try:
            failed = run_snakemake(folder, scene.configuration, made.goal, timeout=TIMEOUT)
        finally:
            subprocess.run(["chattr", "-i", str(closed)], check=True, capture_output=True)
        assert failed.code != 0 and "StorageError" in failed.output, failed.output
        assert "make the folder writable" in failed.output, failed.output
        finish(folder, scene, made.goal)
        check_equal(results, results_of(undisturbed("photos")))
