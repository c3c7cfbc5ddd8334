"""Attacks that no random change would hit upon: each plants something at a path and returns what to read."""

import io
import os
import pickle
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow
import torch
from PIL import Image
from pyarrow import parquet
from scipy.io import savemat

Attack = Callable[[Path, bytes], Path]
Attacks = list[tuple[str, Attack]]

#: Exists once code that hid in a file was run.
MARKER = os.path.join(tempfile.gettempdir(), f"facemill-hostile-{os.getuid()}-was-here")
SPARSE = 6 << 30  # bytes of a file that has none


class Bomb:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple:
        return (os.system, (f"touch {MARKER}",))


def attacks_on(kind: str) -> Attacks:
    """All attacks that make sense against a reader of files of `kind`."""
    return [*ANY, *BY_KIND.get(kind, [])]


def _write(make: Callable[[bytes], bytes]) -> Attack:
    def attack(path: Path, content: bytes) -> Path:
        path.write_bytes(make(content))
        return path

    return attack


def _made(make: Callable[[Path], object]) -> Attack:
    def attack(path: Path, content: bytes) -> Path:
        make(path)
        return path

    return attack


def _elsewhere(name: str) -> Attack:
    """A name that no file can have, in place of the planted one."""

    def attack(path: Path, content: bytes) -> Path:
        return path.with_name(name + path.suffix)

    return attack


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(SPARSE)


def _started(path: Path, content: bytes) -> Path:
    """The valid file followed by gigabytes of nothing."""
    path.write_bytes(content)
    os.truncate(path, SPARSE)
    return path


ANY: Attacks = [
    ("an empty file", _write(lambda _: b"")),
    ("one byte", _write(lambda _: b"\0")),
    ("garbage", _write(lambda _: np.random.default_rng(1).bytes(20_000))),
    ("zeros", _write(lambda _: bytes(20_000))),
    ("0xFF", _write(lambda _: b"\xff" * 20_000)),
    ("a web page", _write(lambda _: b"<!DOCTYPE html><html><body>Log in</body></html>")),
    ("a Git LFS pointer", _write(lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")),
    ("one endless line", _write(lambda _: b"1 " * 2_000_000)),
    ("many lines", _write(lambda _: b"\n" * 2_000_000)),
    ("the first half", _write(lambda content: content[: len(content) // 2])),
    ("all but a byte", _write(lambda content: content[:-1])),
    ("twice", _write(lambda content: content * 2)),
    ("in UTF-16", _write(lambda content: content.decode("latin-1").encode("utf-16"))),
    ("with a byte-order mark", _write(lambda content: b"\xef\xbb\xbf" + content)),
    ("with Windows' line ends", _write(lambda content: content.replace(b"\n", b"\r\n"))),
    ("a bare pickle", _write(lambda _: pickle.dumps(Bomb()))),
    ("a folder", _made(lambda path: path.mkdir())),
    ("a pipe", _made(os.mkfifo)),
    ("a link to itself", _made(lambda path: path.symlink_to(path))),
    ("a link to nothing", _made(lambda path: path.symlink_to("nowhere"))),
    ("a link to an endless device", _made(lambda path: path.symlink_to("/dev/zero"))),
    ("a file that cannot be read", _made(lambda path: path.symlink_to("/proc/self/mem"))),
    ("nothing", lambda path, _: path),
    ("a sparse file of 6 GB", _made(_sparse)),
    ("6 GB of zeros at the end", _started),
    ("a name that is too long", _elsewhere("x" * 300)),
    ("a name with a zero byte", _elsewhere("a\0b")),
    ("a path through a file", lambda path, content: (path.write_bytes(content), path / path.name)[1]),
]  # fmt: skip


def _npy(header: bytes, body: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    text = header + b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H" if version[0] == 1 else "<I", len(text)) + text + body


def _npy_of(shape: str, kind: str = "<f8", body: bytes = b"") -> bytes:
    return _npy(f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode(), body)


def _zip(members: dict[str, bytes], packed: bool = True) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _names(content: bytes) -> list[str]:
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return ["a"]
    return zipfile.ZipFile(io.BytesIO(content)).namelist()


def _inflated(content: bytes, member: bytes) -> bytes:
    """The archive with every array replaced."""
    return _zip(dict.fromkeys(_names(content), member))


def _pickled_array() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([Bomb()], dtype=object), allow_pickle=True)
    return stream.getvalue()


def _lying(content: bytes) -> bytes:
    """The archive whose directory claims a thousand times what it holds."""
    changed = bytearray(content)
    at = changed.find(b"PK\x01\x02")
    while at >= 0:
        changed[at + 24 : at + 28] = struct.pack("<I", 4_000_000_000)
        at = changed.find(b"PK\x01\x02", at + 4)
    return bytes(changed)


NPY: Attacks = [
    ("pickled objects", _write(lambda _: _pickled_array())),
    ("2^40 numbers", _write(lambda _: _npy_of("(1099511627776,)"))),
    ("2^62 x 2^62 numbers", _write(lambda _: _npy_of("(4611686018427387904, 4611686018427387904)"))),
    ("a negative shape", _write(lambda _: _npy_of("(-1,)", body=bytes(800)))),
    ("a shape of 40 axes", _write(lambda _: _npy_of("(" + "1," * 40 + ")", body=bytes(8)))),
    ("a header of brackets", _write(lambda _: _npy(b"(" * 5000))),
    ("a header of code", _write(lambda _: _npy(f"__import__('os').system('touch {MARKER}')".encode()))),
    ("a header of 3 GB", _write(lambda _: b"\x93NUMPY\x02\x00" + struct.pack("<I", 3_000_000_000))),
    ("another version", _write(lambda content: content[:6] + b"\x09" + content[7:])),
]

NPZ: Attacks = [
    ("pickled objects", _write(lambda content: _inflated(content, _pickled_array()))),
    ("pickles that are no arrays", _write(lambda content: _inflated(content, pickle.dumps(Bomb())))),
    ("2^40 numbers", _write(lambda content: _inflated(content, _npy_of("(1099511627776,)")))),
    (
        "a bomb of 1 GB in 1 MB",
        _write(lambda _: _zip({"a.npy": _npy_of("(67108864,)", body=bytes(1 << 26))})),
    ),
    ("a directory that lies", _write(_lying)),
    ("names that lead out", _write(lambda content: _zip({"../../x.npy": b"x", "/etc/x.npy": b"x"}))),
    ("files beside arrays", _write(lambda content: _zip(dict.fromkeys(_names(content), b"plain")))),
    ("no members", _write(lambda _: _zip({}))),
    ("a name twice", _write(lambda content: content + content)),
]


def _torch_bytes(value: object) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def _longer_than_stored(content: bytes) -> bytes:
    """A checkpoint whose pickle claims a storage longer than the bytes that are there."""
    source = zipfile.ZipFile(io.BytesIO(_torch_bytes({"weight": torch.ones(7)})))
    members = {}
    for name in source.namelist():
        body = source.read(name)
        members[name] = (
            body.replace(b"K\x07", b"J" + struct.pack("<i", 1 << 28)) if "data.pkl" in name else body
        )
    return _zip(members, packed=False)


PTH: Attacks = [
    ("code in a checkpoint", _write(lambda _: _torch_bytes({"weight": Bomb()}))),
    (
        "code in an old checkpoint",
        _write(lambda _: pickle.dumps(119547037146038801333356) + pickle.dumps(Bomb())),
    ),
    ("a list", _write(lambda _: _torch_bytes([torch.ones(3)]))),
    ("a single tensor", _write(lambda _: _torch_bytes(torch.ones(3)))),
    ("a storage longer than stored", _write(_longer_than_stored)),
    ("one number a billion times", _write(lambda _: _torch_bytes({"weight": torch.ones(1).expand(1 << 40)}))),
    ("NaN", _write(lambda _: _torch_bytes({"weight": torch.full((4,), float("nan"))}))),
    ("a compressed archive", _write(lambda content: _zip(dict.fromkeys(_names(content), b"x" * 100)))),
]


def _mat(arrays: dict) -> bytes:
    stream = io.BytesIO()
    savemat(stream, arrays, do_compression=True)
    return stream.getvalue()


def _cells(depth: int) -> np.ndarray:
    cell = np.empty(1, dtype=object)
    cell[0] = np.zeros(1) if depth == 0 else _cells(depth - 1)
    return cell


def _mat_nested(depth: int) -> bytes:
    """MATLAB 5 of cells within cells, `depth` deep, written by hand: Python's writer gives up before."""
    body = b""
    for level in range(depth):
        flags = struct.pack("<IIII", 6, 8, 1 if level else 6, 0)
        sizes = struct.pack("<IIii", 5, 8, 1, 1)
        name = struct.pack("<II", 1, 0) if level < depth - 1 else struct.pack("<HH4s", 1, 2, b"id\0\0")
        inner = flags + sizes + name + (body or struct.pack("<IId", 9, 8, 1.0))
        body = struct.pack("<II", 14, len(inner)) + inner
    return b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<HH", 0x0100, 0x4D49) + body


def _mat4(side: int) -> bytes:
    return struct.pack("<5i", 0, side, side, 0, 3)


MAT: Attacks = [
    ("cells", _write(lambda _: _mat({name: _cells(3) for name in ("id", "idx", "coeff", "pt3d_68")}))),
    ("cells 2,000 deep", _write(lambda _: _mat_nested(2000))),
    ("structures", _write(lambda _: _mat({name: {"a": 1.0} for name in ("id", "idx", "coeff", "pt3d_68")}))),
    ("texts", _write(lambda _: _mat(dict.fromkeys(("id", "idx", "coeff", "pt3d_68"), "text")))),
    ("zeros that unpack to 200 MB", _write(lambda _: _mat({"id": np.zeros((5000, 5000))}))),
    ("MATLAB 7.3", _write(lambda _: b"MATLAB 7.3 MAT-file, HDF5".ljust(512) + b"\x89HDF\r\n\x1a\n")),
    ("HDF5", _write(lambda _: b"\x89HDF\r\n\x1a\n" + bytes(500))),
    ("MATLAB 4 of 2^31 x 2^31", _write(lambda _: _mat4(2**31 - 1) + b"id\0")),
    ("a pickle as MATLAB 4", _write(lambda _: _mat4(1) + b"id\0" + pickle.dumps(Bomb()))),
]  # fmt: skip


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(
    width: int, height: int, depth: int = 8, kind: int = 0, data: bytes = b"", extra: bytes = b""
) -> bytes:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    body = _chunk(b"IDAT", data or zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + header + extra + body + _chunk(b"IEND", b"")


def _picture_bytes(kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (16, 16)).save(stream, kind, **options)
    return stream.getvalue()


def _huge_tiff() -> bytes:
    content = _picture_bytes("TIFF")
    for tag in (256, 257):  # width and height
        for kind in (3, 4):
            entry = struct.pack("<HHI", tag, kind, 1)
            at = content.find(entry)
            if at >= 0:
                content = content[:at] + struct.pack("<HHII", tag, 4, 1, 2**31 - 1) + content[at + 12 :]
    return content


PICTURE: Attacks = [
    ("2^31 x 2^31 pixels", _write(lambda _: _png(2**31 - 1, 2**31 - 1))),
    ("65,000 x 65,000 pixels", _write(lambda _: _png(65_000, 65_000))),
    ("13,000 x 13,000 pixels of nothing", _write(lambda _: _png(13_000, 13_000))),
    ("no pixels", _write(lambda _: _png(0, 0))),
    ("a wrong depth", _write(lambda _: _png(16, 16, depth=77))),
    ("a text that unpacks to 100 MB", _write(lambda _: _png(
        16, 16, extra=_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(100_000_000)))))),
    ("a TIFF of 2^31 x 2^31", _write(lambda _: _huge_tiff())),
    ("a WebP of 16,384 x 16,384", _write(
        lambda _: b"RIFF\x1a\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\x3f\0\xff\x3f\0")),
    ("PostScript", _write(
        lambda _: f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n({MARKER}) (w) file\n".encode())),
    ("SVG", _write(lambda _: b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')),
    ("a GIF of 65,535 x 65,535", _write(lambda _: b"GIF89a\xff\xff\xff\xff\x80\0\0" + bytes(100))),
]  # fmt: skip

JSON: Attacks = [
    ("100,000 lists within lists", _write(lambda _: b"[" * 100_000)),
    ("100,000 objects within objects", _write(lambda _: b'{"a":' * 100_000 + b"1" + b"}" * 100_000)),
    ("a number of 5,000 digits", _write(lambda _: b"9" * 5000)),
    ("NaN", _write(lambda _: b"NaN")),
    ("a text", _write(lambda _: b'"text"')),
    ("half a character", _write(lambda _: b'{"a": "\\ud800"}')),
    ("a brace in a text", _write(lambda content: content.replace(b'"', b'"' + b"[" * 200, 1))),
]


def _deep_xml(depth: int) -> bytes:
    return b"<PickedPoints>" + b"<a>" * depth + b"</a>" * depth + b"</PickedPoints>"


_LAUGHS = b"".join(
    f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">'.encode() if n else b'<!ENTITY l0 "lol">' for n in range(10)
)
TEXT: Attacks = [
    ("a billion laughs", _write(lambda _: b"<!DOCTYPE a [" + _LAUGHS + b"]><a>&l9;</a>")),
    ("an entity of /etc/passwd", _write(
        lambda _: b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a><point/>&x;</a>')),
    ("XML 50,000 deep", _write(lambda _: _deep_xml(50_000))),
    ("2^31 elements claimed", _write(
        lambda content: content.replace(b"element vertex ", b"element vertex 2147483647"))),
    ("numbers of 5,000 digits", _write(lambda content: content.replace(b"1", b"9" * 5000))),
    ("paths that lead out", _write(lambda content: content.replace(b".jpg", b"/../../../../etc/passwd"))),
    ("control characters", _write(lambda content: content.replace(b".", b"\x00").replace(b" ", b"\x1b "))),
    ("YAML tags", _write(lambda _: f'!!python/object/apply:os.system ["touch {MARKER}"]'.encode())),
]  # fmt: skip


def _parquet(count: int) -> bytes:
    stream = io.BytesIO()
    parquet.write_table(pyarrow.table({"photo": np.zeros(count, dtype=np.int8)}), stream)
    return stream.getvalue()


PARQUET: Attacks = [
    ("20 million equal rows in a few bytes", _write(lambda _: _parquet(20_000_000))),
    ("no rows", _write(lambda _: _parquet(0))),
]


def _glb(document: bytes, binary: bytes = b"") -> bytes:
    document += b" " * (-len(document) % 4)
    chunks = struct.pack("<II", len(document), 0x4E4F534A) + document
    chunks += struct.pack("<II", len(binary), 0x004E4942) + binary
    return struct.pack("<III", 0x46546C67, 2, 12 + len(chunks)) + chunks


_GLB = b'{"asset":{"version":"2.0"},"scene":0,"scenes":[{"nodes":[0]}],"nodes":%s,"meshes":[{"primitives":' \
    b'[{"attributes":{"POSITION":0},"indices":1}]}],"accessors":[{"componentType":5126,"count":%s,"type":' \
    b'"VEC3"},{"componentType":5125,"count":3,"type":"SCALAR"}]%s}'  # fmt: skip

GLB: Attacks = [
    ("2^40 vertices of nothing", _write(lambda _: _glb(_GLB % (b'[{"mesh":0}]', b"1099511627776", b"")))),
    ("nodes in a circle", _write(
        lambda _: _glb(_GLB % (b'[{"mesh":0,"children":[1]},{"children":[0]}]', b"3", b"")))),
    ("a node in itself", _write(lambda _: _glb(_GLB % (b'[{"mesh":0,"children":[0]}]', b"3", b"")))),
    ("a buffer elsewhere", _write(lambda _: _glb(_GLB % (
        b'[{"mesh":0}]', b"3", b',"buffers":[{"uri":"file:///etc/passwd","byteLength":9}],"bufferViews":[{"buffer":0,"byteLength":9}]')))),
    ("a document of brackets", _write(lambda _: _glb(b"[" * 100_000))),
]  # fmt: skip

BY_KIND: dict[str, Attacks] = {
    "npz": NPZ,
    "npy": NPY,
    "pth": PTH,
    "mat": MAT,
    "picture": PICTURE,
    "json": JSON,
    "text": TEXT,
    "glb": GLB,
    "parquet": PARQUET,
    "box": [*NPY, ("code in a box", _write(lambda _: _pickled_array()))],
}
