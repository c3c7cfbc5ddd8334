"""kill -9 in the middle of each rule: the next run completes, and its tables equal the undisturbed ones."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import psutil
import pytest

from workflow.running import QUICK_FIT, ROOT, run_snakemake, snakemake_call

RUN = "kill"
DEMO = {
    "run": RUN,
    "photos": {"portraits": {"folder": str(ROOT / "resources" / "photos")}},
    "reconstruct_coarse": QUICK_FIT,
    "animate_detail": {"photos": ["portraits/astronaut"]},
}
DEMO_RULES = (
    "prepare_model",
    "index_photos",
    "detect_faces",
    "align_faces",
    "detect_landmarks",
    "segment_skin",
    "split_dataset",
    "tabulate_faces",
    "reconstruct_coarse",
    "export_coarse",
    "write_report",
)
HEADS = {"heads": {"identities": 1, "photos_per_identity": 2, "size": 400}}
SYNTHETIC = {"run": RUN, "photos": {}}
PHOTOS = {
    **SYNTHETIC,
    "synthesis": {"photos": {"crops": {"identities": 1, "photos_per_identity": 1, "depth": True}}},
}
CAPTURES = {
    **SYNTHETIC,
    "synthesis": {"captures": {"rig": {"views": 2, "width": 108, "height": 162, "level": 0}}},
}
SCORES = {
    **SYNTHETIC,
    "synthesis": {"scans": HEADS},
    "evaluation": {"now": {"mine": {"dataset": "synthesis.scans.heads", "predictions": "coarse"}}},
    "reconstruct_coarse": QUICK_FIT,
    "evaluate_now": {"heat_maps": 1, "draws": 20},
}
PEOPLE = {
    **SYNTHETIC,
    "synthesis": {
        "photos": {
            "album": {
                "split": "test", "first": 42, "identities": 1, "photos_per_identity": 2,
                "views_per_sitting": 2, "framing": "portrait", "size": 400, "labels": False,
            }
        }
    },
    "people": {"album": {"photos": "synthesis.photos.album"}},
    "reconstruct_coarse": QUICK_FIT,
    "reconstruct_person": {"levels": [{"reduction": 4, "steps": 3}]},
}  # fmt: skip
# What is run, and the files that are asked for; none: all that the configuration lists.
RUNS = {
    "demo": (DEMO, ()),
    "photos": (PHOTOS, (f"results/{RUN}/synthesis/photos/crops/contact_sheet.png",)),
    "captures": (CAPTURES, (f"results/{RUN}/synthesis/captures/rig/synthesize_captures/imgs/0",)),
    "scores": (SCORES, ()),
    "people": (PEOPLE, ()),
}
KILLS = [("demo", rule, delay) for rule in DEMO_RULES for delay in (0.0, 1.5)] + [
    ("demo", "reconstruct_detail", 2.5),
    ("demo", "export_detail", 5.0),
    ("demo", "animate_detail", 5.0),
    ("photos", "synthesize_photos", 9.0),
    ("photos", "draw_contact_sheet", 0.0),
    ("captures", "synthesize_captures", 9.0),
    ("scores", "synthesize_scans", 9.0),
    ("scores", "list_scans", 0.0),
    ("scores", "export_now", 1.5),
    ("scores", "evaluate_now", 1.5),
    ("scores", "compare_methods", 0.0),
    ("people", "group_people", 1.5),
    ("people", "reconstruct_person", 3.0),
    ("people", "export_person", 3.0),
]


def digests(folder: Path) -> dict[str, bytes]:
    """Content of every result but logs, times and the page that shows them."""
    results = folder / "results" / RUN
    files = [path for path in sorted(results.rglob("*")) if path.is_file()]
    names = {path: path.relative_to(results).as_posix() for path in files}
    skipped = ("logs/", "benchmarks/", "report.html")
    return {name: path.read_bytes() for path, name in names.items() if not name.startswith(skipped)}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Callable[[str], dict[str, bytes]]:
    """The results of a run that nobody disturbed, made when a test first asks."""

    @cache
    def results(name: str) -> dict[str, bytes]:
        folder = tmp_path_factory.mktemp(name)
        configuration, goals = RUNS[name]
        run = run_snakemake(folder, configuration, *goals)
        assert run.code == 0, run.output
        return digests(folder)

    return results


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
        time.sleep(0.02)
    return script


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rule", "delay"), KILLS)
def test_killed_rule_leaves_nothing_half_made(tmp_path, undisturbed, name, rule, delay):
    configuration, goals = RUNS[name]
    expected = undisturbed(name)
    with (tmp_path / "first-run.log").open("w") as log:
        running = subprocess.Popen(**snakemake_call(tmp_path, configuration, *goals), stdout=log)
    victim = wait_for_script(running, rule)
    assert victim is not None, f"{rule} was not seen running"
    time.sleep(delay)
    if victim.is_running():
        victim.send_signal(signal.SIGKILL)
    running.wait(timeout=300)
    again = run_snakemake(tmp_path, configuration, *goals)
    assert again.code == 0, again.output
    assert digests(tmp_path) == expected


@pytest.mark.slow
def test_killed_snakemake_is_resumed_after_unlocking(tmp_path, undisturbed):
    expected = undisturbed("demo")
    with (tmp_path / "first-run.log").open("w") as log:
        running = subprocess.Popen(**snakemake_call(tmp_path, DEMO), stdout=log, start_new_session=True)
    assert wait_for_script(running, "reconstruct_coarse") is not None
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert run_snakemake(tmp_path, DEMO, "--unlock").code == 0
    again = run_snakemake(tmp_path, DEMO)
    assert again.code == 0, again.output
    assert digests(tmp_path) == expected
