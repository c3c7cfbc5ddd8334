"""Mutants of a valid file: hypothesis strategies that draw bytes, by the kind of the file.

Blind damage (bytes flipped, cut, doubled, overwritten) does for every kind. Kinds with an inner structure are
taken apart, changed inside and written again, so that the change gets past the outer checks.
"""

import io
import json
import re
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

Strategy = st.SearchStrategy[bytes]
HEADER = 256  # bytes at the front that deserve more attention than the rest
INTEGERS = (0, 1, -1, 127, 255, 65535, 2**31 - 1, -(2**31), 2**32 - 1, 2**63 - 1, -(2**63), 2**64 - 1)
FLOATS = (float("nan"), float("inf"), -float("inf"), 1e308, -1e308, 5e-324, -0.0, 1e20)
WORDS = (
    "nan", "inf", "-inf", "1e999", "-1", "0", "", "2147483648", "-2147483649", "18446744073709551616",
    "9" * 400,
    "1e-400", "0x10", "1_000", "½", "٣", "true", "null", "[", "{", "%s", "{{7*7}}", "../../x", "/etc/passwd",
    "\x00", "a" * 5000, "\u202e", "<script>", "1,2", "1;2", "\\", '"', "//",
)  # fmt: skip
NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")


def mutated(kind: str, content: bytes) -> Strategy:
    """Mutants of `content`, a file of `kind`."""
    inside = INSIDE.get(kind)
    damage = damaged(content)
    return damage if inside is None else st.one_of(inside(content), inside(content), damage)


def damaged(content: bytes) -> Strategy:
    """One to four blind changes, one after the other."""
    return st.lists(_changes(len(content)), min_size=1, max_size=4).map(
        lambda changes: _applied(content, changes)
    )


Change = Callable[[bytes], bytes]


def _applied(content: bytes, changes: list[Change]) -> bytes:
    for change in changes:
        content = change(content)
    return content


def _changes(size: int) -> st.SearchStrategy[Change]:
    place = st.one_of(st.integers(0, min(size, HEADER)), st.integers(0, max(size, 1)))
    length = st.sampled_from((1, 2, 4, 8, 16, 64, 300, 4096))
    packed = st.one_of(
        st.tuples(st.sampled_from("<>"), st.sampled_from("bhiq"), st.sampled_from(INTEGERS)).map(_integer),
        st.tuples(st.sampled_from("<>"), st.sampled_from("fd"), st.sampled_from(FLOATS)).map(_float),
    )
    return st.one_of(
        st.builds(lambda at, bit: lambda old: _put(old, at, bytes([_byte(old, at) ^ (1 << bit)])), place,
                  st.integers(0, 7)),
        st.builds(lambda at, new: lambda old: _put(old, at, new), place, packed),
        st.builds(lambda at, new: lambda old: old[:at] + new + old[at:], place, st.binary(max_size=12)),
        st.builds(lambda at: lambda old: old[:at], place),
        st.builds(lambda at, n: lambda old: old[:at] + old[at + n :], place, length),
        st.builds(lambda at, n: lambda old: old[: at + n] + old[at:], place, length),
    )  # fmt: skip


def _integer(parts: tuple[str, str, int]) -> bytes:
    order, form, value = parts
    size = struct.calcsize(form)
    return (value % (1 << (8 * size))).to_bytes(size, "little" if order == "<" else "big")


def _float(parts: tuple[str, str, float]) -> bytes:
    order, form, value = parts
    return struct.pack(
        order + form,
        np.float32(value) if form == "f" and abs(value) < 1e38 else value if form == "d" else float("inf"),
    )


def _byte(content: bytes, at: int) -> int:
    return content[at] if at < len(content) else 0


def _put(content: bytes, at: int, new: bytes) -> bytes:
    return content[:at] + new + content[at + len(new) :]


def _text(content: bytes) -> Strategy:
    """Numbers replaced by words, lines doubled, dropped, exchanged or made of words."""
    numbers = [match.span() for match in NUMBER.finditer(content[:200_000])] or [(0, 0)]
    lines = content.split(b"\n")
    line = st.one_of(st.integers(0, min(12, len(lines) - 1)), st.integers(0, len(lines) - 1))
    word = st.sampled_from(WORDS).map(lambda text: text.encode("utf-8", "surrogatepass"))

    def replaced(span: tuple[int, int], new: bytes) -> bytes:
        return content[: span[0]] + new + content[span[1] :]

    spans = st.one_of(st.sampled_from(numbers[:16]), st.sampled_from(numbers))
    return st.one_of(
        st.builds(replaced, spans, word),
        st.builds(lambda at: b"\n".join(lines[:at] + lines[at + 1 :]), line),
        st.builds(
            lambda at, n: b"\n".join(lines[:at] + [lines[at]] * n + lines[at:]),
            line,
            st.sampled_from((1, 3, 200)),
        ),
        st.builds(lambda at, new: b"\n".join([*lines[:at], new, *lines[at + 1 :]]), line, word),
        st.builds(lambda a, b: b"\n".join([*lines[:a], lines[b], *lines[a + 1 :]]), line, line),
    )


def _json(content: bytes) -> Strategy:
    """A value, a key or a branch of the document replaced, dropped or doubled."""
    document = json.loads(content)
    places = list(_places(document))
    place = st.one_of(st.sampled_from(places[:20]), st.sampled_from(places))
    new = st.one_of(
        st.sampled_from(
            (None, True, False, {}, [], "", [[]], {"": None}, "../../x", "a\x00b", "<b>", "x" * 5000)
        ),
        st.sampled_from((*INTEGERS, 10**30, 10**400)),
        st.sampled_from(FLOATS),
        st.recursive(
            st.none() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
            ),
            max_leaves=8,
        ),
        st.integers(40, 90).map(_nest),
    )
    return st.one_of(
        st.builds(lambda path, value: _dump(_changed(document, path, lambda _: value)), place, new),
        st.builds(lambda path: _dump(_dropped(document, path)), place),
        st.builds(lambda path, key: _dump(_changed(document, path, lambda old: {key: old})), place,
                  st.sampled_from(WORDS)),
        _text(content),
    )  # fmt: skip


def _dump(document: Any) -> bytes:
    return json.dumps(document).encode("utf-8", "surrogatepass")


def _nest(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def _places(value: Any, path: tuple = ()) -> Any:
    if len(path) < 6:
        yield path
        children = (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        )
        for key, child in list(children)[:60]:
            yield from _places(child, (*path, key))


def _changed(value: Any, path: tuple, change: Callable[[Any], Any]) -> Any:
    if not path:
        return change(value)
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _changed(copy[path[0]], path[1:], change)
    return copy


def _dropped(value: Any, path: tuple) -> Any:
    if not path:
        return None
    if len(path) > 1:
        return _changed(value, path[:1], lambda child: _dropped(child, path[1:]))
    if isinstance(value, dict):
        return {key: child for key, child in value.items() if key != path[0]}
    return [child for at, child in enumerate(value) if at != path[0]]


def _arrays(load: Callable[[bytes], dict], dump: Callable[[dict], bytes]) -> Callable[[bytes], Strategy]:
    """Mutants of a file of named arrays: one or two of them replaced, dropped or renamed."""

    def strategy(content: bytes) -> Strategy:
        arrays = load(content)
        change = st.tuples(st.sampled_from(sorted(arrays)), st.integers(0, len(ARRAYS) + 1))
        return st.lists(change, min_size=1, max_size=2).map(lambda changes: dump(_with(arrays, changes)))

    return strategy


def _with(arrays: dict, changes: list[tuple[str, int]]) -> dict:
    changed = dict(arrays)
    for name, way in changes:
        if name not in changed:
            continue
        if way < len(ARRAYS):
            changed[name] = ARRAYS[way](np.asarray(changed[name]))
        elif way == len(ARRAYS):
            del changed[name]
        else:
            changed["x" + name] = changed.pop(name)
    return changed


def _filled(value: Any) -> Callable[[np.ndarray], np.ndarray]:
    def fill(old: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            new = old.copy() if old.dtype.kind in "fiub" else np.zeros(old.shape)
            if old.dtype.kind in "iub" and isinstance(value, float):
                new = new.astype(np.float64)
            if new.size:
                limit = np.iinfo(new.dtype) if new.dtype.kind in "iu" else None
                new.flat[new.size // 2] = value if limit is None else min(max(value, limit.min), limit.max)
        return new

    return fill


ARRAYS: tuple[Callable[[np.ndarray], Any], ...] = (
    *(_filled(value) for value in (float("nan"), float("inf"), 1e300, 2**40, -1, -(2**40))),
    lambda old: old[:0] if old.ndim else old,
    lambda old: old[:-1] if old.ndim else old,
    lambda old: old[..., None],
    lambda old: old.ravel(),
    lambda old: old.T,
    lambda old: np.concatenate([old, old]) if old.ndim else old,
    lambda old: np.array("text"),
    lambda old: np.array(["a", "../../x", "\x01"]),
    lambda old: np.zeros((0, 3)),
    lambda old: np.array(7),
    lambda old: old.astype(np.complex128) if old.dtype.kind in "fiub" else old,
    lambda old: old.astype(str) if old.dtype.names is None else old,
    lambda old: np.zeros(old.shape, dtype=bool),
    lambda old: np.array([[1, 2], [3, 4]], dtype=object),
    lambda old: np.zeros(3, dtype=[("a", "f8"), ("b", "i4")]),
)


def _load_npz(content: bytes) -> dict:
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _dump_npz(arrays: dict) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=True, **arrays)
    return stream.getvalue()


def _load_mat(content: bytes) -> dict:
    return {key: value for key, value in loadmat(io.BytesIO(content)).items() if key[:2] != "__"}


def _dump_mat(arrays: dict) -> bytes:
    stream = io.BytesIO()
    savemat(stream, arrays)
    return stream.getvalue()


def _load_npy(content: bytes) -> dict:
    return {"array": np.load(io.BytesIO(content), allow_pickle=False)}


def _dump_npy(arrays: dict) -> bytes:
    stream = io.BytesIO()
    np.save(stream, next(iter(arrays.values()), np.zeros(0)), allow_pickle=True)
    return stream.getvalue()


def _load_pth(content: bytes) -> dict:
    found = torch.load(io.BytesIO(content), weights_only=True)
    return {key: value.numpy() for key, value in found.items() if isinstance(value, torch.Tensor)}


def _dump_pth(arrays: dict) -> bytes:
    stream = io.BytesIO()
    torch.save({key: _tensor(value) for key, value in arrays.items()}, stream)
    return stream.getvalue()


def _tensor(value: Any) -> Any:
    try:
        return torch.from_numpy(np.ascontiguousarray(value))
    except TypeError:
        return str(value)


INSIDE: dict[str, Callable[[bytes], Strategy]] = {
    "text": _text,
    "json": _json,
    "npz": _arrays(_load_npz, _dump_npz),
    "npy": _arrays(_load_npy, _dump_npy),
    "mat": _arrays(_load_mat, _dump_mat),
    "pth": _arrays(_load_pth, _dump_pth),
}
