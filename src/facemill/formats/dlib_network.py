"""dlib's serialised networks (`.dat`), read without dlib: enough of the format for its face recogniser.

How dlib writes: an integer is one control byte (bits 0..3 how many bytes follow, bit 7 negative) and its
magnitude, least significant byte first; a real number is two such integers, m and e, for m 2^e; a text is its
length and its bytes; a truth value is the digit 0 or 1; a tensor is the version 2, four sizes (samples,
channels, rows, columns) and raw little-endian float32. A network nests from the loss inwards, and every layer
writes what is below it before itself. So the file is: the loss, the versions of all layers from the outermost
inwards, the input, and then the layers from the input outwards, each with its name and its parameters.
Layers that only mark or fetch another's output (tags) leave nothing but their version.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facemill.runtime.inputs import decoding, read_content

_LARGEST_VERSION = 3
LARGEST_SIDE = 4096
_INPUT = "input_rgb_image_sized"


@dataclass(frozen=True)
class DlibLayer:
    """One layer.

    Attributes:
        kind: `con`, `affine`, `relu`, `max_pool`, `avg_pool`, `add_prev` or `fc`.
        sizes: con: filters, rows, columns, stride y, stride x, padding y, padding x; pools: rows, columns,
            strides, paddings (0 rows: the whole picture); fc: outputs, inputs; others none.
        parameters: con: filters (out, in, rows, columns) and biases (out,); affine: factors and offsets;
            fc: weights (inputs, outputs); others none. float32.
    """

    kind: str
    sizes: tuple[int, ...] = ()
    parameters: tuple[NDArray[np.float32], ...] = ()


@dataclass(frozen=True)
class DlibNetwork:
    """loss: its name; means: of red, green and blue, subtracted first; side: of the input picture; layers."""

    loss: str
    means: tuple[float, float, float]
    side: int
    layers: tuple[DlibLayer, ...]


def read_dlib_network(path: str | Path) -> DlibNetwork:
    """Read a network with a colour picture of fixed size as its input and a metric loss.

    Raises:
        FormatError: the file is missing, cut, followed by something, or of another kind.
    """
    expected = "dlib_face_recognition_resnet_model_v1.dat, a network of dlib"
    remedy = "take the file from the Python package face_recognition_models 0.3.0"
    stream = _Stream(read_content(path, expected, remedy))
    with decoding(path, expected, remedy):
        network = _network(stream)
        if stream.position != len(stream.content):
            raise ValueError(f"{len(stream.content) - stream.position} bytes follow its last layer")
    return network


class _Stream:
    def __init__(self, content: bytes) -> None:
        self.content, self.position = content, 0

    def take(self, count: int) -> bytes:
        piece = self.content[self.position : self.position + count]
        if count < 0 or len(piece) != count:
            raise ValueError(f"the file ends at byte {len(self.content)}, in the middle of a value")
        self.position += count
        return piece

    def integer(self) -> int:
        control = self.take(1)[0]
        count = control & 0x0F
        if control & 0x70 or not 1 <= count <= 8:
            raise ValueError(f"byte {self.position - 1} begins no integer")
        value = int.from_bytes(self.take(count), "little")
        return -value if control & 0x80 else value

    def real(self) -> float:
        mantissa, exponent = self.integer(), self.integer()
        return float(mantissa) * 2.0**exponent

    def text(self, length: int | None = None) -> str:
        return self.take(self.integer() if length is None else length).decode("latin-1")

    def tensor(self) -> NDArray[np.float32]:
        version = self.integer()
        if version != 2:
            raise ValueError(f"byte {self.position}: a tensor of version {version}, expected 2")
        shape = self._four()
        raw = self.take(4 * math.prod(shape))
        values = np.frombuffer(raw, dtype="<f4").astype(np.float32).reshape(shape)
        if not np.isfinite(values).all():
            raise ValueError(f"byte {self.position}: a tensor with values that are no numbers")
        return values

    def alias(self) -> tuple[int, ...]:
        """Sizes of a part of the parameters."""
        self.integer()
        return self._four()

    def _four(self) -> tuple[int, ...]:
        shape = tuple(self.integer() for _ in range(4))
        if min(shape) < 0 or max(shape) > 1 << 20:
            raise ValueError(f"byte {self.position}: a tensor of shape {shape}")
        return shape


def _network(stream: _Stream) -> DlibNetwork:
    stream.integer()
    loss = stream.text()
    if not loss.startswith("loss_metric"):
        raise ValueError(f"it begins with {loss[:40]!r}, not with a metric loss")
    stream.real()
    stream.real()
    versions = []
    while (number := stream.integer()) <= _LARGEST_VERSION:
        versions.append(number)
    kind = stream.text(number)
    if kind != _INPUT:
        raise ValueError(f"its input is {kind[:40]!r}, not {_INPUT}")
    means = (stream.real(), stream.real(), stream.real())
    rows, columns = stream.integer(), stream.integer()
    if rows != columns or not 1 <= rows <= LARGEST_SIDE:
        raise ValueError(
            f"its input has {rows} x {columns} pixels; a square of at most {LARGEST_SIDE} is expected"
        )
    # Versions of layers are 2, that of the layer on the input 3 (or 1 in older files), those of tags 1.
    layers = [_layer(stream, first=True)]
    layers += [_layer(stream, first=False) for _ in range(versions.count(2))]
    return DlibNetwork(loss, means, rows, tuple(layers))


def _layer(stream: _Stream, first: bool) -> DlibLayer:
    name = stream.text()
    kind = name.rstrip("0123456789").rstrip("_")
    if kind not in _READERS:
        raise ValueError(f"byte {stream.position}: a layer {name[:40]!r} that is not known here")
    layer = _READERS[kind](stream, kind)
    for _ in range(3):  # was it set up; is its gradient stale; are its output and gradient disabled
        if stream.take(1) not in (b"0", b"1"):
            raise ValueError(f"byte {stream.position - 1} is no truth value")
    for _ in range(3):  # gradients and a cached output, empty in a file that was cleaned before saving
        stream.tensor()
    if first:
        stream.integer()
    return layer


def _read_con(stream: _Stream, kind: str) -> DlibLayer:
    values = stream.tensor().reshape(-1)
    sizes = tuple(stream.integer() for _ in range(7))
    filters, biases = stream.alias(), stream.alias()
    for _ in range(4):
        stream.real()
    return DlibLayer(kind, sizes, _parts(values, filters, (biases[1],)))


def _read_affine(stream: _Stream, kind: str) -> DlibLayer:
    values = stream.tensor().reshape(-1)
    factors, offsets = stream.alias(), stream.alias()
    stream.integer()
    return DlibLayer(kind, (), _parts(values, (factors[1],), (offsets[1],)))


def _read_fc(stream: _Stream, kind: str) -> DlibLayer:
    sizes = (stream.integer(), stream.integer())
    values = stream.tensor().reshape(-1)
    weights, biases = stream.alias(), stream.alias()
    if biases[1]:
        raise ValueError("its last layer has biases; the face recogniser's has none")
    stream.integer()
    for _ in range(4):
        stream.real()
    return DlibLayer(kind, sizes, _parts(values, weights[:2]))


def _read_pool(stream: _Stream, kind: str) -> DlibLayer:
    return DlibLayer(kind, tuple(stream.integer() for _ in range(6)))


def _read_plain(stream: _Stream, kind: str) -> DlibLayer:
    return DlibLayer(kind)


_READERS: dict[str, Callable[[_Stream, str], DlibLayer]] = {
    "con": _read_con,
    "affine": _read_affine,
    "fc": _read_fc,
    "max_pool": _read_pool,
    "avg_pool": _read_pool,
    "add_prev": _read_plain,
    "relu": _read_plain,
}


def _parts(values: NDArray[np.float32], *shapes: tuple[int, ...]) -> tuple[NDArray[np.float32], ...]:
    sizes = [math.prod(shape) for shape in shapes]
    if sum(sizes) != len(values):
        raise ValueError(f"{len(values)} parameters for parts of shapes {shapes}")
    pieces = np.split(values, np.cumsum(sizes)[:-1])
    return tuple(piece.reshape(shape) for piece, shape in zip(pieces, shapes, strict=True))
