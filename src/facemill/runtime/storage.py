"""What storage does to a run: disks that fill, forbid writing or damage files; no photo is to blame."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facemill.runtime.errors import FacemillError, FormatError

ROOM_TO_WRITE = 1 << 16  # bytes; a disk with less has just refused a write
MADE_ANEW = "delete it and start the same command again: the workflow makes it anew"
MADE_ANEW_FOLDER = "delete its folder and start the same command again: the workflow makes it anew"

_FULL = {errno.ENOSPC: "no space left on the disk", errno.EDQUOT: "the disk quota is used up"}
_FORBIDDEN = {
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "no permission to write there",
    errno.EPERM: "the file system does not allow it",
}


class StorageError(FacemillError):
    """A file cannot be written: no fault of what was to be written, so it ends the job."""


class DamagedFileError(FormatError):
    """A file that the workflow wrote is missing, cut short or altered; it ends the job that reads it."""


def is_machine_fault(error: BaseException) -> bool:
    """Whether storage is to blame and not a photo: then no row may say so, as the next run must try again."""
    numbers = {each.errno for each in _chain(error) if isinstance(each, OSError)}
    return isinstance(error, StorageError | DamagedFileError) or bool(numbers & {*_FULL, errno.EROFS})


@contextmanager
def named_storage_errors(path: Path) -> Iterator[None]:
    """Turn what a full, read-only or forbidding disk raises while `path` is written into a `StorageError`.

    Libraries hide the reason: numpy and torch raise errors without a number when a disk is full. So a disk
    without room counts as the reason of any error. Other errors pass, those about other folders, too.

    Raises:
        StorageError: names `path`, the reason and what to do.
    """
    try:
        yield
    except FacemillError:
        raise
    except Exception as error:
        reason = _reason(error, path)
        if reason is None:
            raise
        raise StorageError(f"{path} cannot be written", *reason) from error


def _reason(error: BaseException, path: Path) -> tuple[str, str, str] | None:
    """Expected, found and remedy; None when storage is not to blame."""
    place = _existing_parent(path)
    chain = list(_chain(error))
    numbers = [each.errno for each in chain if isinstance(each, OSError)]
    full = next((_FULL[number] for number in numbers if number in _FULL), None)
    if full is None and not isinstance(error, OSError | RuntimeError):
        free = ROOM_TO_WRITE  # other errors are a program's own
    else:
        free = shutil.disk_usage(place).free
    if full is not None or free < ROOM_TO_WRITE:
        found = f"{full or _FULL[errno.ENOSPC]}: {free / 1e6:.1f} MB free in {place}"
        remedy = "make room or give another disk, then start the same command again: it goes on from here"
        return "room for it", found, remedy
    for each in chain:
        if isinstance(each, OSError) and each.errno in _FORBIDDEN and _is_about(each, path):
            remedy = "make the folder writable, then start the same command again: it goes on from here"
            return "a folder that can be written", f"{_FORBIDDEN[each.errno]} ({place})", remedy
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_about(error: OSError, path: Path) -> bool:
    """Whether an error is about the folder in which `path` is written, not about a file that was read."""
    if error.errno == errno.EROFS or error.filename is None:
        return True
    told = os.path.abspath(os.fsdecode(error.filename))
    parent = os.path.abspath(path.parent)
    return told == os.path.abspath(path) or told.startswith(parent + os.sep) or parent.startswith(told)


def _existing_parent(path: Path) -> Path:
    for place in path.absolute().parents:
        if place.is_dir():
            return place
    return Path("/")
