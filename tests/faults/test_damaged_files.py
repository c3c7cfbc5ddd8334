"""Intermediate files that were cut short or altered: told with their name, or made again by themselves."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from pyarrow import parquet

from faults.scenes import MADE, TRAINING, take_away
from workflow.comparison import check_equal
from workflow.kill_scenes import SCENES
from workflow.running import run_snakemake
from workflow.undisturbed import TIMEOUT, finish, results_of

pytestmark = pytest.mark.faults
OUTPUTS = ("network.safetensors", "metrics.csv", "faces.png", "summary.json")


def flip(path: Path) -> None:
    """Alter one bit in the middle; of a table, in the middle of its largest column."""
    stored = bytearray(path.read_bytes())
    place = len(stored) // 2
    if path.suffix == ".parquet":
        group = parquet.read_metadata(path).row_group(0)
        largest = max(map(group.column, range(group.num_columns)), key=lambda c: c.total_compressed_size)
        place = largest.data_page_offset + largest.total_compressed_size // 2
    stored[place] ^= 0x10
    path.write_bytes(stored)


def halve(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


@dataclass(frozen=True)
class Damage:
    """A file, what happens to it, the rule that reads it next, and the folder that has to go with it."""

    file: str
    damage: Callable[[Path], None]
    reader: str
    made_with: str = ""


TOLD = {
    "table, bit altered": Damage("photos/portraits/detect_faces/0000.parquet", flip, "align_faces"),
    "table, halved": Damage("photos/portraits/align_faces/0000.parquet", halve, "detect_landmarks"),
    "picture, bit altered": Damage(
        "photos/portraits/align_faces/0000/astronaut.png", flip, "detect_landmarks",
        "photos/portraits/align_faces/0000",
    ),
    "picture, halved": Damage(
        "photos/portraits/segment_skin/0000/astronaut.png", halve, "reconstruct_coarse",
        "photos/portraits/segment_skin/0000",
    ),
    "arrays, bit altered": Damage("coarse/portraits/reconstruct_coarse/0000.npz", flip, "export_coarse"),
    "arrays, emptied": Damage("models/head.npz", empty, "reconstruct_coarse"),
}  # fmt: skip


@pytest.mark.parametrize("name", TOLD)
def test_a_damaged_file_is_told(copied, undisturbed, faults, name):
    scene, case = SCENES["photos"], TOLD[name]
    folder = copied("photos")
    results = results_of(folder)
    made = MADE[case.reader]
    with faults.fault(f"damaged {name}"):
        case.damage(results / case.file)
        take_away(results, made)
        failed = run_snakemake(folder, scene.configuration, made.goal, timeout=TIMEOUT)
        assert failed.code != 0, failed.output
        assert case.file.rpartition("/")[2] in failed.output and "DamagedFileError" in failed.output
        assert "delete it" in failed.output or "and start the same command again" in failed.output
        told = results / (case.made_with or case.file)
        shutil.rmtree(told) if told.is_dir() else told.unlink()
        finish(folder, scene, made.goal)
        check_equal(results, results_of(undisturbed("photos")))


@pytest.mark.parametrize("file", ["0000.json", "plan.json"])
@pytest.mark.parametrize("damage", [flip, halve, empty])
def test_a_damaged_plan_is_made_again(copied, undisturbed, faults, file, damage):
    scene = SCENES["photos"]
    folder = copied("photos")
    with faults.fault("damaged plan of photos"):
        damage(results_of(folder) / "photos" / "portraits" / "plan" / file)
        finish(folder, scene, MADE["detect_faces"].goal)
        check_equal(results_of(folder), results_of(undisturbed("photos")))


@pytest.mark.parametrize("damage", [flip, halve, empty])
def test_a_broken_checkpoint_costs_steps(copied, undisturbed, faults, damage):
    scene, made = SCENES["trainings"], MADE["train_coarse"]
    folder = copied("trainings")
    results = results_of(folder)
    with faults.fault("damaged checkpoint"):
        for name in OUTPUTS:
            (results / TRAINING / name).unlink()
        damage(results / TRAINING / "run" / "last.pth")
        finish(folder, scene, made.goal)
        assert "going back to best.pth" in (results / "logs" / "train_coarse.log").read_text()
        names = tuple(f"{TRAINING}/{name}" for name in OUTPUTS)
        check_equal(results, results_of(undisturbed("trainings")), names)


def test_a_packed_shard_that_was_cut_short_is_told(copied, undisturbed, faults):
    scene, made = SCENES["trainings"], MADE["train_coarse"]
    folder = copied("trainings")
    results = results_of(folder)
    packed = results / "coarse" / "crops" / "pack_training" / "0000"
    with faults.fault("damaged packed shard"):
        take_away(results, made)
        halve(packed / "crops.npy")
        failed = run_snakemake(folder, scene.configuration, made.goal, timeout=TIMEOUT)
        assert failed.code != 0 and "crops.npy" in failed.output, failed.output
        shutil.rmtree(packed)
        finish(folder, scene, made.goal)
        check_equal(results, results_of(undisturbed("trainings")), (TRAINING, "coarse/crops"))
