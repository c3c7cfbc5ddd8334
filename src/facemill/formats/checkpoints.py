"""Weights of networks: safetensors for our own, PyTorch's `.pth` for those of others; nothing executable."""

from __future__ import annotations

import hashlib
import pickle
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from facemill.runtime.errors import FormatError
from facemill.runtime.files import atomic_path, write_bytes
from facemill.runtime.inputs import decoding, require_plain_file
from facemill.runtime.storage import MADE_ANEW, DamagedFileError, StorageError

FORMAT_KEY = "format"
DIGEST_KEY = (
    "sha256"  # of the header and the tensors; files from before it existed, and shipped ones, lack it
)
_WRITER_FAILED = "inline_container"  # what torch names when its archive cannot be written


def write_weights(
    path: str | Path,
    weights: Mapping[str, Tensor],
    header: Mapping[str, str],
    half: bool = False,
    digest: bool = True,
) -> None:
    """Write named tensors and a header of texts as safetensors, atomically. Equal input gives equal bytes.

    Args:
        header: must name the `format`, so that a reader can tell weights of different networks apart.
        half: store floating-point tensors as float16.
        digest: keep a digest of everything in the header, which readers check.
    """
    if FORMAT_KEY not in header:
        raise ValueError("header: expected a key `format`")
    stored = {
        name: (value.half() if half and value.is_floating_point() else value).detach().cpu().contiguous()
        for name, value in weights.items()
    }
    # safetensors keeps the header in an unordered map: one key always comes first, so all goes into one.
    text = "\n".join(f"{key}={header[key]}" for key in sorted(header))
    if digest:
        text += f"\n{DIGEST_KEY}={_digest_of(stored, text)}"
    write_bytes(path, save(stored, {"facemill": text}))


def read_weights(path: str | Path, expected_format: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what `write_weights` wrote; float16 comes back as float32.

    Raises:
        DamagedFileError: what it holds is not what was written (files with a digest).
        FormatError: the file is missing, is no safetensors file of ours, is of another format, or holds
            weights that are no numbers.
    """
    expected = "weights written by Facemill, as safetensors"
    remedy = "give the .safetensors file whole, or a .pth checkpoint where one is allowed"
    require_plain_file(path, expected, remedy)
    with decoding(path, expected, remedy), safe_open(str(path), framework="pt") as archive:
        text = (archive.metadata() or {}).get("facemill", "")
        weights = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
    header = {key: value for key, _, value in (line.partition("=") for line in text.splitlines())}
    _check_digest(path, weights, text, header.pop(DIGEST_KEY, None))
    if header.get(FORMAT_KEY) != expected_format:
        raise FormatError(
            f"{path} holds the weights of something else",
            f"format {expected_format}",
            f"format {header.get(FORMAT_KEY, '(none)')}",
            "give the file of the network that is asked for",
        )
    _check_numbers(path, weights)
    return {name: v.float() if v.is_floating_point() else v for name, v in weights.items()}, header


def _digest_of(weights: Mapping[str, Tensor], text: str) -> str:
    total = hashlib.sha256(text.encode())
    for name in sorted(weights):
        value = weights[name].contiguous()
        total.update(f"\n{name} {value.dtype} {tuple(value.shape)}\n".encode())
        total.update(value.reshape(-1).view(torch.uint8).numpy().data if value.numel() else b"")
    return total.hexdigest()


def _check_digest(path: str | Path, weights: Mapping[str, Tensor], text: str, expected: str | None) -> None:
    if expected is None:
        return
    found = _digest_of(weights, text.rpartition(f"\n{DIGEST_KEY}=")[0])
    if found != expected:
        raise DamagedFileError(
            f"{path} was altered after it was written", f"content of digest {expected}", found, MADE_ANEW
        )


def read_pickled(path: str | Path) -> dict[str, Any]:
    """Read a `.pth` checkpoint: tensors, numbers, texts and containers; code is refused, never run.

    Raises:
        FormatError: the file is missing, no checkpoint, not whole, holds objects that only running code could
            restore, tensors that are larger than what is stored of them, or weights that are no numbers.
    """
    expected, remedy = "a whole PyTorch checkpoint", "download or copy it again"
    size = require_plain_file(path, expected, remedy)
    with decoding(path, expected, remedy):
        _check_archive(Path(path), size)
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise FormatError(
                f"{path} is refused",
                "a checkpoint of plain tensors, as Deep3DFaceRecon's epoch_20.pth",
                "objects that could run code when they are read, or no checkpoint at all: "
                + (str(error).splitlines() or [""])[0],
                "if you trust the file, open it where it was made and save its state_dict() alone",
            ) from error
    if not isinstance(content, Mapping):
        raise FormatError(
            f"{path} is no dictionary of weights",
            "named tensors, or dictionaries of them",
            type(content).__name__,
            "save the state_dict() of the network",
        )
    with decoding(path, expected, remedy):
        tensors = dict(_tensors(content))
        _check_extents(tensors)
        _check_numbers(path, tensors)
    return dict(content)


def _check_archive(path: Path, size: int) -> None:
    """ValueError for an archive that is not as PyTorch writes it; the older form is no archive."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if sum(member.compress_size for member in members) > size:
            raise ValueError("its parts lie over one another")
        packed = [member.filename for member in members if member.compress_type != zipfile.ZIP_STORED]
        if packed:  # PyTorch packs nothing
            raise ValueError(f"{packed[0][:80]} is compressed")
        damaged = archive.testzip()  # torch does not look at the checksums that it writes
    if damaged is not None:
        raise ValueError(f"the checksum of {damaged[:80]} is wrong")


def _tensors(content: Any, place: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors in nested containers, by place."""
    if isinstance(content, Tensor):
        yield place, content
    elif isinstance(content, Mapping):
        for key, value in content.items():
            yield from _tensors(value, f"{place}.{str(key)[:80]}")
    elif isinstance(content, list | tuple):
        for key, value in enumerate(content):
            yield from _tensors(value, f"{place}.{key}")


def _check_extents(tensors: Mapping[str, Tensor]) -> None:
    """ValueError for a tensor of more numbers than its storage has: one stored number can stand for 2^40."""
    for name, value in tensors.items():
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise ValueError(f"{name[:120]} repeats its numbers: {tuple(value.shape)} of few")


def _check_numbers(path: str | Path, weights: Mapping[str, Tensor]) -> None:
    for name, value in weights.items():
        if (value.is_floating_point() or value.is_complex()) and not bool(
            torch.isfinite(value.float()).all()
        ):
            raise FormatError(
                f"{path}: {name.lstrip('.')[:120]} has weights that are no numbers",
                "finite numbers",
                "NaN or infinity",
                "take a checkpoint of a training that went well",
            )


def write_pickled(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write a `.pth` checkpoint, atomically: a disk that fills leaves the previous file as it was.

    Equal content gives equal bytes: torch would write the file's (temporary) name into it, and pickle writes
    a text again where an equal one is another object, as after reading a checkpoint.

    Raises:
        StorageError: the disk is full, is read-only or forbids writing.
    """
    try:
        with atomic_path(path) as partial, partial.open("wb") as file:
            torch.save(_interned(content), file)
    except RuntimeError as error:
        if _WRITER_FAILED not in str(error):
            raise
        raise StorageError(
            f"{path} cannot be written",
            "room for it",
            str(error).splitlines()[0],
            "see what the disk and its quota have left, then start the same command again",
        ) from error


def _interned(value: Any) -> Any:
    """The same containers with one object for equal texts."""
    if isinstance(value, str):
        return sys.intern(value)
    if isinstance(value, Mapping):
        return {_interned(key): _interned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_interned(item) for item in value)
    return value
