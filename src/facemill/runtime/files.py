"""Files that are either whole or absent, and readers that execute nothing.

numpy is imported where arrays are read or written: the workflow plans at every start and in every job, and
needs the rest alone.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from facemill.runtime.errors import FacemillError, FormatError
from facemill.runtime.inputs import decoding, require_plain_file
from facemill.runtime.storage import MADE_ANEW, DamagedFileError, named_storage_errors

if TYPE_CHECKING:
    import numpy as np

LARGEST_ARRAYS = 16 << 30  # bytes of a .npz once it is unpacked
DENSEST, SPARE = 1100, 1024  # deflate packs at most 1032 to 1

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
    import numpy as np

    plain = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in plain.items():
        if array.dtype.hasobject:
            raise TypeError(f"{name} is an object array: it would need pickles to be read again")
    with atomic_path(path) as partial:
        writer = np.savez_compressed if compressed else np.savez
        writer(partial, allow_pickle=False, **plain)


def load_arrays(
    path: str | Path, required: tuple[str, ...] = (), remedy: str = MADE_ANEW
) -> dict[str, np.ndarray]:
    """Read a `.npz` without pickles.

    Args:
        remedy: what to do about a file that no rule makes anew.
    Raises:
        DamagedFileError: the file is missing, is not a whole `.npz` (each array has a checksum), holds
            pickled objects, or would unpack to more than it can hold or than `LARGEST_ARRAYS` bytes.
        FormatError: it lacks a key of `required`.
    """
    import numpy as np

    expected = "a .npz archive of plain arrays"
    size = require_plain_file(path, expected, remedy, DamagedFileError)
    with decoding(path, expected, remedy, DamagedFileError):
        with zipfile.ZipFile(path) as archive:
            _check_members(archive.infolist(), size)
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    strange = [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]
    if strange:
        found = f"the file {strange[0][:80]}"
        raise DamagedFileError(f"{path} holds more than arrays", expected, found, remedy)
    missing = [name for name in required if name not in arrays]
    if missing:
        raise FormatError(
            f"{path} lacks {', '.join(missing)}",
            ", ".join(required),
            ", ".join(sorted(arrays)) or "no arrays",
            "make it again, or give the file of this name that the workflow wrote",
        )
    return arrays


def load_array(
    path: str | Path,
    expected: str,
    remedy: str,
    refusal: type[FacemillError] = FormatError,
    mapped: bool = False,
) -> np.ndarray:
    """Read a `.npy` without pickles; `mapped`: leave it on the disk until it is used.

    Raises:
        refusal: the file is missing, is no whole `.npy`, holds pickled objects, or is shorter than it says.
    """
    import numpy as np

    size = require_plain_file(path, expected, remedy, refusal)
    with decoding(path, expected, remedy, refusal):
        with open(path, "rb") as file:
            version = np.lib.format.read_magic(file)
            read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else _later_header
            shape, _, dtype = read_header(file)
            start = file.tell()
        if dtype.hasobject:
            raise ValueError("pickled objects: reading them could run code")
        if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize > size - start:
            raise ValueError(f"{size - start} bytes of values where shape {shape} of {dtype} needs more")
        return np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)


def _later_header(file: BinaryIO) -> tuple:
    import numpy as np

    return np.lib.format.read_array_header_2_0(file)


def _check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    """Refuse archives that unpack to more than they can hold, before anything is unpacked."""
    if sum(member.compress_size for member in members) > size:
        raise ValueError("its parts lie over one another")
    unpacked = 0
    for member in members:
        most = member.compress_size * (DENSEST if member.compress_type else 1)
        if member.file_size > most + SPARE:
            raise ValueError(f"{member.filename[:80]} claims {member.file_size} bytes, more than it can hold")
        unpacked += member.file_size
    if unpacked > LARGEST_ARRAYS:
        raise ValueError(f"{unpacked} bytes unpacked; at most {LARGEST_ARRAYS} are read")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
