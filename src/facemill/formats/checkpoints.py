"""Weights of networks: safetensors for our own, PyTorch's `.pth` for those of others; nothing executable."""

from __future__ import annotations

import hashlib
import pickle
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from facemill.runtime.errors import FormatError
from facemill.runtime.files import atomic_path, write_bytes
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
        FormatError: the file is missing, is no safetensors file of ours, or is of another format.
    """
    try:
        with safe_open(str(path), framework="pt") as archive:
            text = (archive.metadata() or {}).get("facemill", "")
            weights = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise FormatError(f"{path} is missing", "a weights file", "nothing", "check the path") from error
    except (SafetensorError, OSError) as error:
        raise FormatError(
            f"{path} cannot be read as safetensors",
            "weights written by Facemill",
            str(error),
            "give the .safetensors file whole, or a .pth checkpoint where one is allowed",
        ) from error
    header = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    _check_digest(path, weights, text, header.pop(DIGEST_KEY, None))
    if header.get(FORMAT_KEY) != expected_format:
        raise FormatError(
            f"{path} holds the weights of something else",
            f"format {expected_format}",
            f"format {header.get(FORMAT_KEY, '(none)')}",
            "give the file of the network that is asked for",
        )
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
        FormatError: the file is missing, no checkpoint, not whole, or holds objects that only running code
            could restore.
    """
    try:
        if zipfile.is_zipfile(path):  # torch does not look at the checksums that it writes
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()
            if damaged is not None:
                raise zipfile.BadZipFile(f"the checksum of {damaged} is wrong")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise FormatError(f"{path} is missing", "a .pth checkpoint", "nothing", "check the path") from error
    except pickle.UnpicklingError as error:
        raise FormatError(
            f"{path} is refused",
            "a checkpoint of plain tensors, as Deep3DFaceRecon's epoch_20.pth",
            "objects that could run code when they are read, or no checkpoint at all: "
            + str(error).splitlines()[0],
            "if you trust the file, open it where it was made and save its state_dict() alone",
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise FormatError(
            f"{path} cannot be read as a PyTorch checkpoint",
            "the whole file",
            str(error).splitlines()[0] if str(error) else type(error).__name__,
            "download or copy it again",
        ) from error
    if not isinstance(content, Mapping):
        raise FormatError(
            f"{path} is no dictionary of weights",
            "named tensors, or dictionaries of them",
            type(content).__name__,
            "save the state_dict() of the network",
        )
    return dict(content)


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
