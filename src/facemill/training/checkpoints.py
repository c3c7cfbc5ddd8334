"""Checkpoints of a training: the last two and the best; a broken one costs steps, not the training."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facemill.formats.checkpoints import read_pickled, write_pickled
from facemill.runtime.errors import FormatError

CHECKPOINT = "last.pth"
BEFORE = "before.pth"
BEST = "best.pth"

logger = logging.getLogger(__name__)


def write_last(folder: Path, content: Mapping[str, Any]) -> None:
    """Write the newest checkpoint; the one before stays beside it.

    Raises:
        StorageError: the disk is full or forbids writing; then the newest stays what it was.
    """
    place = folder / CHECKPOINT
    newest = folder / f"newest{place.suffix}"
    write_pickled(newest, content)
    if place.is_file():
        _keep(place, folder / BEFORE)
    os.replace(newest, place)


def _keep(place: Path, before: Path) -> None:
    """Give a file a second name, in place of what had it: at no time there is no newest checkpoint."""
    second = before.with_name(f"kept{before.suffix}")
    second.unlink(missing_ok=True)
    try:
        os.link(place, second)
    except OSError:  # a file system without hard links
        second = place
    os.replace(second, before)


def forget_before(folder: Path) -> None:
    """Remove the checkpoint before the last: a training that has ended does not go back."""
    (folder / BEFORE).unlink(missing_ok=True)


def good_checkpoint(folder: Path) -> str | None:
    """Name of the newest checkpoint that is whole, whatever clocks say; None where there never was one.

    A checkpoint that is broken is removed, with a warning, once an older one was found whole.

    Raises:
        FormatError: there are checkpoints and none is whole.
    """
    for name in ("newest", "kept"):  # of a run that was killed
        (folder / f"{name}{Path(CHECKPOINT).suffix}").unlink(missing_ok=True)
    broken: list[tuple[str, FormatError]] = []
    for name in (CHECKPOINT, BEFORE, BEST):
        if not (folder / name).is_file():
            continue
        try:
            step = read_pickled(folder / name).get("step")
        except FormatError as error:
            broken.append((name, error))
            continue
        for lost, fault in broken:
            logger.warning("%s; going back to %s of step %s", fault.sentence, name, step)
            (folder / lost).unlink()
        return name
    if broken:
        name, first = broken[0]
        raise FormatError(
            f"no checkpoint in {folder} is whole",
            f"{CHECKPOINT}, {BEFORE} or {BEST} as the training wrote it",
            f"{name}: {first.found}",
            "put one of them back from a copy, or delete the folder to train from the beginning",
        ) from first
    return None


def require_best(folder: Path, step: int) -> None:
    """Check that the best weights before `step` can be read, before days are spent on what follows.

    Raises:
        FormatError: `best.pth` is broken.
    """
    place = folder / BEST
    if not step or not place.is_file():
        return
    try:
        read_pickled(place)
    except FormatError as error:
        raise FormatError(
            f"{place} is broken: the best weights before step {step} are lost",
            "the file as the training wrote it",
            error.found,
            "put it back from a copy, or delete it (the best weights of the further steps count), or delete "
            f"{folder} to train from the beginning",
        ) from error
