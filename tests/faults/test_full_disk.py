"""A disk that fills in the middle of a rule: a clear error, nothing half-written, the same bytes later."""

import pytest

from faults.scenes import MADE, partials, take_away
from workflow.comparison import check_equal
from workflow.kill_scenes import SCENES
from workflow.running import run_snakemake
from workflow.undisturbed import TIMEOUT, finish, results_of

pytestmark = pytest.mark.faults

KINDS = {
    "detect_landmarks": "table",
    "align_faces": "pictures",
    "prepare_model": "arrays",
    "reconstruct_coarse": "arrays and table",
    "export_coarse": "meshes",
    "reconstruct_detail": "compressed arrays",
    "write_report": "report",
    "train_coarse": "checkpoints",
}
SHARE = 0.4  # of what the rule writes finds room


@pytest.mark.parametrize("rule", KINDS)
def test_a_rule_that_fills_the_disk(on_disk, undisturbed, faults, rule):
    name = "trainings" if rule == "train_coarse" else "photos"
    scene, made = SCENES[name], MADE[rule]
    folder, disk = on_disk(name)
    results = results_of(folder)
    with faults.fault(f"full disk: {KINDS[rule]}"):
        disk.leave_room(int(SHARE * take_away(results, made)))
        failed = run_snakemake(folder, scene.configuration, made.goal, timeout=TIMEOUT)
        assert failed.code != 0, failed.output
        assert "StorageError" in failed.output and "cannot be written" in failed.output, failed.output
        assert "no space left on the disk" in failed.output, failed.output
        assert not (results / made.target).exists()
        assert not partials(results)
        disk.enlarge()
        finish(folder, scene, made.goal)
        check_equal(results, results_of(undisturbed(name)))
