"""Weights of networks: safetensors for our own, PyTorch's `.pth` for those of others; nothing executable."""

from __future__ import annotations

import pickle
import zipfile
from collections import Counter
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

FORMAT_KEY = "format"


def write_weights(
    path: str | Path, weights: Mapping[str, Tensor], header: Mapping[str, str], half: bool = False
) -> None:
    """Write named tensors and a header of texts as safetensors, atomically. Equal input gives equal bytes.

    Args:
        header: must name the `format`, so that a reader can tell weights of different networks apart.
        half: store floating-point tensors as float16.
    """
    if FORMAT_KEY not in header:
        raise ValueError("header: expected a key `format`")
    stored = {
        name: (value.half() if half and value.is_floating_point() else value).detach().cpu().contiguous()
        for name, value in weights.items()
    }
    # safetensors keeps the header in an unordered map: one key always comes first, so all goes into one.
    text = "\n".join(f"{key}={header[key]}" for key in sorted(header))
    write_bytes(path, save(stored, {"facemill": text}))


def read_weights(path: str | Path, expected_format: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what `write_weights` wrote; float16 comes back as float32.

    Raises:
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
    if header.get(FORMAT_KEY) != expected_format:
        raise FormatError(
            f"{path} holds the weights of something else",
            f"format {expected_format}",
            f"format {header.get(FORMAT_KEY, '(none)')}",
            "give the file of the network that is asked for",
        )
    _check_numbers(path, weights)
    return {name: v.float() if v.is_floating_point() else v for name, v in weights.items()}, header


def read_pickled(path: str | Path) -> dict[str, Any]:
    """Read a `.pth` checkpoint: tensors, numbers, texts and containers; code is refused, never run.

    Raises:
        FormatError: the file is missing, no checkpoint, not whole, holds objects that only running code could
            restore, tensors that are larger than what is stored of them, or weights that are no numbers.
    """
    expected, remedy = "a whole PyTorch checkpoint", "download or copy it again"
    size = require_plain_file(path, expected, remedy)
    with decoding(path, expected, remedy):
        stored = _stored_sizes(Path(path), size)
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
        _check_stored(path, tensors, stored)
        _check_numbers(path, tensors)
    return dict(content)


def _stored_sizes(path: Path, size: int) -> Counter[int] | None:
    """Sizes in bytes of the storages in a checkpoint, or None for the older form, which is no archive."""
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    if sum(member.compress_size for member in members) > size:
        raise ValueError("its parts lie over one another")
    packed = [member.filename for member in members if member.compress_type != zipfile.ZIP_STORED]
    if packed:  # PyTorch packs nothing
        raise ValueError(f"{packed[0][:80]} is compressed")
    return Counter(member.file_size for member in members if "/data/" in f"/{member.filename}")


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


def _check_stored(path: str | Path, tensors: Mapping[str, Tensor], stored: Counter[int] | None) -> None:
    """PyTorch believes the pickle about how long a storage is: a longer one would read past its end."""
    storages = {}
    for name, value in tensors.items():
        storage = value.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        if value.numel() * value.element_size() > storage.nbytes():
            raise ValueError(f"{name[:120]} repeats its numbers: {tuple(value.shape)} of few")
    beyond = Counter(size for size in storages.values() if size) - (stored or Counter(storages.values()))
    if beyond:
        raise ValueError(f"a tensor of {next(iter(beyond))} bytes of which less is stored")


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
    """Write a `.pth` checkpoint, atomically: a disk that fills leaves the previous file as it was."""
    with atomic_path(path) as partial:
        torch.save(dict(content), partial)
