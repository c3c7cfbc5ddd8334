"""The newest good checkpoint is taken, whatever clocks say; a broken one costs steps."""

import os

import pytest
import torch

from facemill.formats.checkpoints import read_pickled, write_pickled
from facemill.runtime.errors import FormatError
from facemill.training.checkpoints import forget_before, good_checkpoint, require_best, write_last


def content(step: int) -> dict:
    return {"step": step, "weights": torch.arange(1000.0) + step}


def flip(path) -> None:
    """Alter one bit in the middle: of the weights."""
    stored = bytearray(path.read_bytes())
    stored[len(stored) // 2] ^= 0x10
    path.write_bytes(stored)


@pytest.fixture
def folder(tmp_path):
    for step in (2, 4, 6):
        write_last(tmp_path, content(step))
    return tmp_path


def test_the_last_two_are_kept(folder):
    assert good_checkpoint(folder) == "last.pth"
    assert [read_pickled(folder / name)["step"] for name in ("last.pth", "before.pth")] == [6, 4]
    forget_before(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["last.pth"]


def test_there_is_none_at_the_beginning(tmp_path):
    assert good_checkpoint(tmp_path) is None


@pytest.mark.parametrize(
    "damage", [flip, lambda path: os.truncate(path, 500), lambda path: os.truncate(path, 0)]
)
def test_a_broken_one_falls_back_to_the_one_before_and_is_removed(folder, damage, caplog):
    damage(folder / "last.pth")
    assert good_checkpoint(folder) == "before.pth"
    assert "last.pth" in caplog.text and "going back to before.pth of step 4" in caplog.text
    assert not (folder / "last.pth").exists()
    write_last(folder, content(6))
    assert [read_pickled(folder / name)["step"] for name in ("last.pth", "before.pth")] == [6, 4]


def test_times_of_files_do_not_matter(folder):
    os.utime(folder / "before.pth", (4e9, 4e9))
    os.utime(folder / "last.pth", (1e9, 1e9))
    assert good_checkpoint(folder) == "last.pth"


def test_the_best_serves_when_both_are_broken(folder):
    write_pickled(folder / "best.pth", content(3))
    for name in ("last.pth", "before.pth"):
        flip(folder / name)
    assert good_checkpoint(folder) == "best.pth"


def test_no_good_checkpoint_is_an_error_that_says_what_to_do(folder):
    for name in ("last.pth", "before.pth"):
        flip(folder / name)
    with pytest.raises(
        FormatError, match=r"no checkpoint in .* is whole(.|\n)*last\.pth(.|\n)*delete the folder"
    ):
        good_checkpoint(folder)
    assert (folder / "last.pth").exists()


def test_lost_best_weights_are_told_before_the_training_goes_on(folder):
    require_best(folder, 6)  # none yet
    write_pickled(folder / "best.pth", content(3))
    require_best(folder, 6)
    flip(folder / "best.pth")
    require_best(folder, 0)  # from the beginning: it will be written again
    with pytest.raises(FormatError, match=r"best\.pth is broken: the best weights before step 6 are lost"):
        require_best(folder, 6)
