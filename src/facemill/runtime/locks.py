"""A folder that one process works in: a lock that ends with the process, however it ends."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import socket
from pathlib import Path
from typing import TextIO

from facemill.runtime.errors import FacemillError
from facemill.runtime.storage import named_storage_errors

LOCK = "in_use.lock"
_HELD = (errno.EAGAIN, errno.EACCES)

logger = logging.getLogger(__name__)


class FolderInUseError(FacemillError):
    """Another process works in the folder."""


def lock_folder(folder: str | Path) -> TextIO:
    """Take `folder` for this process until the returned file is closed or the process ends.

    The file stays, empty of meaning once nobody holds it: only the operating system knows who does. On a file
    system without locks the folder is not guarded, which is logged.

    Raises:
        FolderInUseError: another process has it; the message names it.
        StorageError: the folder cannot be written.
    """
    path = Path(folder, LOCK)
    with named_storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _HELD:
            logger.warning("%s is not guarded against a second process: %s", folder, error)
            return file
        file.seek(0)
        holder = file.read().strip() or "another process"
        file.close()
        raise FolderInUseError(
            f"{folder} is in use",
            "no other process that works in it",
            holder,
            "wait until it has ended, or end it; nothing has to be unlocked",
        ) from error
    with named_storage_errors(path):
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
    return file
