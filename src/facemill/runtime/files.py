"""Files that are either whole or absent, and readers that execute nothing."""

import contextlib
import json
import os
import shutil
import struct
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from facemill.runtime.errors import FormatError
from facemill.runtime.storage import MADE_ANEW, DamagedFileError, named_storage_errors

# What numpy and zipfile raise on altered bytes: of checksums, headers, lengths, methods and names.
_UNREADABLE = (
    ValueError, OSError, EOFError, MemoryError, SyntaxError, KeyError, TypeError, AttributeError,
    OverflowError, RuntimeError, struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip

PARTIAL = ".partial-"  # begins the names of files and folders that are being written


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary neighbour of `path` that replaces it when the block ends without an error.

    The neighbour keeps the suffix of `path`, because many writers choose the format by it. When the
    block raises, `path` is untouched and the neighbour is removed.

    Raises:
        StorageError: the disk is full, is read-only or forbids writing.
    """
    path = Path(path)
    with named_storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=PARTIAL, suffix=path.suffix, dir=path.parent)
        os.close(handle)
    partial = Path(name)
    try:
        with named_storage_errors(path):
            yield partial
            os.chmod(partial, 0o666 & ~_umask())  # mkstemp makes files that only their owner can read
            os.replace(partial, path)
    finally:
        with contextlib.suppress(OSError):  # a disk that turned read-only keeps it until the next run
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield a temporary neighbour folder that replaces the folder `path` when the block ends well.

    Raises:
        StorageError: as `atomic_path`.
    """
    path = Path(path)
    with named_storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=path.parent))
    try:
        with named_storage_errors(path):
            yield partial
            os.chmod(partial, 0o777 & ~_umask())
            if path.exists():
                shutil.rmtree(path)
            os.replace(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def merged_folder(path: str | Path) -> Iterator[Path]:
    """Yield a temporary neighbour folder whose files come to the folder `path` when the block ends well.

    Files of the same name are replaced, each whole or not at all; what else is there stays. So several rules
    can write into one folder, at the same time, too.

    Raises:
        StorageError: as `atomic_path`.
    """
    path = Path(path)
    with named_storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=path.parent))
    try:
        with named_storage_errors(path):
            yield partial
            path.mkdir(exist_ok=True)
            for file in sorted(partial.iterdir()):
                os.replace(file, path / file.name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def scratch_folder(place: str | Path) -> Iterator[Path]:
    """Yield a folder in `place` for files that nobody needs later; it goes with the block.

    One that a killed program left is removed by `remove_partials`.
    """
    with tempfile.TemporaryDirectory(prefix=PARTIAL, dir=place) as folder:
        yield Path(folder)


def remove_partials(folder: str | Path) -> int:
    """Remove what killed writers left unfinished anywhere below `folder`, which may be missing; their number.

    Only where no writer is at work: its file would vanish under it.
    """
    found = 0
    for place, folders, files in os.walk(folder):
        for name in [name for name in folders if name.startswith(PARTIAL)]:
            shutil.rmtree(Path(place, name), ignore_errors=True)
            folders.remove(name)
            found += 1
        for name in files:
            if name.startswith(PARTIAL):
                Path(place, name).unlink(missing_ok=True)
                found += 1
    return found


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write `content`, atomically."""
    with atomic_path(path) as partial:
        partial.write_bytes(content)


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys, atomically; NaN is refused."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n")


def save_arrays(path: str | Path, arrays: Mapping[str, Any], compressed: bool = False) -> None:
    """Write named arrays as `.npz`, atomically; object arrays are refused. Equal arrays give equal bytes."""
    plain = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in plain.items():
        if array.dtype.hasobject:
            raise TypeError(f"{name} is an object array: it would need pickles to be read again")
    with atomic_path(path) as partial:
        writer = np.savez_compressed if compressed else np.savez
        writer(partial, allow_pickle=False, **plain)


def load_arrays(path: str | Path, required: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """Read a `.npz` without pickles.

    Raises:
        DamagedFileError: the file is missing or is not a whole `.npz` (each array has a checksum).
        FormatError: it lacks a key of `required`.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError as error:
        raise DamagedFileError(f"{path} is missing", "a .npz file", "nothing", MADE_ANEW) from error
    except _UNREADABLE as error:
        raise DamagedFileError(
            f"{path} cannot be read as .npz", "an archive of plain arrays", str(error), MADE_ANEW
        ) from error
    missing = [name for name in required if name not in arrays]
    if missing:
        raise FormatError(
            f"{path} lacks {', '.join(missing)}",
            ", ".join(required),
            ", ".join(sorted(arrays)) or "no arrays",
            "make it again, or give the file of this name that the workflow wrote",
        )
    return arrays


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
