"""Files that others made: opened only when they are plain files, decoded behind one guard, refused in words.

A reader takes what it can from a stranger's bytes and turns everything else into one error that names the
file. Nothing here imports numpy: the workflow reads such files before any job runs.
"""

from __future__ import annotations

import errno
import json
import os
import re
import reprlib
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from facemill.runtime.errors import FacemillError, FormatError

LARGEST_TEXT = 1 << 30  # bytes; a scan of five million vertices as OBJ has 0.4 GB
DEEPEST = 64  # lists within lists; numpy gives up there, too
LONGEST_NUMBER = 40  # digits of a whole number

_NESTED = re.compile(r'"(?:[^"\\]|\\.)*"|([\[{])|([\]}])', re.DOTALL)
_REASONS = {
    errno.ELOOP: "a symbolic link that leads in a circle",
    errno.EACCES: "no permission to read it",
    errno.ENAMETOOLONG: "a name that is too long",
}
_shown = reprlib.Repr()
_shown.maxlevel, _shown.maxstring, _shown.maxother = 3, 80, 80


def shown(value: Any) -> str:
    """A value in an error message: short, however long or deeply nested it is.

    >>> shown([1, [2, [3, [4]]]]), len(shown("a" * 200))
    ('[1, [2, [3, [...]]]]', 80)
    """
    return _shown.repr(value)


def require_plain_file(
    path: str | Path, expected: str, remedy: str, refusal: type[FacemillError] = FormatError
) -> int:
    """The size in bytes of a plain file; opening a pipe would wait for ever, a device never ends.

    Raises:
        refusal: the file is missing, cannot be reached, or is a folder, a pipe, a socket or a device.
    """
    try:
        state = os.stat(path)
    except FileNotFoundError as error:
        nothing = "a link to nothing" if os.path.islink(path) else "nothing"
        raise refusal(f"{path} is missing", expected, nothing, remedy) from error
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        found = _REASONS.get(getattr(error, "errno", None) or 0) or getattr(error, "strerror", None)
        raise refusal(f"{_name(path)} cannot be read", expected, found or str(error), remedy) from error
    if not stat.S_ISREG(state.st_mode):
        kind = "a folder" if stat.S_ISDIR(state.st_mode) else "a pipe, socket or device, not a plain file"
        raise refusal(f"{path} cannot be read", expected, kind, remedy)
    return state.st_size


def read_content(
    path: str | Path,
    expected: str,
    remedy: str,
    refusal: type[FacemillError] = FormatError,
    largest: int = LARGEST_TEXT,
) -> bytes:
    """The bytes of a plain file.

    Raises:
        refusal: see `require_plain_file`; or it cannot be read, or has more than `largest` bytes.
    """
    size = require_plain_file(path, expected, remedy, refusal)
    if size > largest:
        raise refusal(f"{path} is too large", f"{expected}, at most {largest} bytes", f"{size} bytes", remedy)
    try:
        with open(path, "rb") as file:
            content = file.read(largest + 1)
    except OSError as error:
        raise refusal(f"{path} cannot be read", expected, error.strerror or str(error), remedy) from error
    if len(content) > largest:
        raise refusal(f"{path} is too large", expected, f"more than {largest} bytes", remedy)
    return content


def read_text(
    path: str | Path,
    expected: str,
    remedy: str,
    refusal: type[FacemillError] = FormatError,
    largest: int = LARGEST_TEXT,
) -> str:
    """The text of a plain file in UTF-8, without its byte-order mark.

    Raises:
        refusal: see `read_content`; or it is not UTF-8.
    """
    content = read_content(path, expected, remedy, refusal, largest)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refusal(f"{path} is not text", expected, f"other bytes: {error}", remedy) from error


def read_json(
    path: str | Path, expected: str, remedy: str, refusal: type[FacemillError] = FormatError
) -> Any:
    """What a JSON file holds. NaN and infinity come through, as Python's `json` writes them: check for them.

    Raises:
        refusal: see `read_text`; or it is no JSON, is nested deeper than `DEEPEST`, or holds a whole number
            of more than `LONGEST_NUMBER` digits.
    """
    text = read_text(path, expected, remedy, refusal)
    try:
        _check_nesting(text)
        return json.loads(text, parse_int=_whole)
    except (ValueError, RecursionError) as error:
        raise refusal(f"{path} cannot be read as JSON", expected, str(error), remedy) from error


def read_json_object(
    path: str | Path,
    expected: str,
    remedy: str,
    required: Sequence[str] = (),
    format_name: str | None = None,
    refusal: type[FacemillError] = FormatError,
) -> dict[str, Any]:
    """A JSON object that holds the keys `required`; of `format_name`, where its key `format` must say so.

    Raises:
        refusal: see `read_json`; or it is no object, of another format, or lacks a key.
    """
    content = read_json(path, expected, remedy, refusal)
    if not isinstance(content, dict):
        raise refusal(f"{path} is of another form", expected, f"a {type(content).__name__}", remedy)
    if format_name is not None and content.get("format") != format_name:
        found = shown(content["format"]) if "format" in content else "no format"
        raise refusal(f"{path} is of another format", f"format {format_name}", found, remedy)
    missing = [key for key in required if key not in content]
    if missing:
        raise refusal(
            f"{path} lacks {', '.join(missing)}", ", ".join(required), shown(sorted(content)), remedy
        )
    return content


@contextmanager
def decoding(
    path: str | Path, expected: str, remedy: str, refusal: type[FacemillError] = FormatError
) -> Iterator[None]:
    """Let a decoder loose on a stranger's file: whatever it raises is the file's fault and becomes `refusal`.

    Decoders of other people raise almost anything on damaged data, an assertion as well as a failed
    allocation. Our own errors pass through; so does what is no error of a program (an interrupt).
    """
    try:
        yield
    except FacemillError:
        raise
    except MemoryError as error:
        found = "data that would need more memory than there is"
        raise refusal(f"{path} cannot be read", expected, found, remedy) from error
    except Exception as error:
        words = str(error).strip().splitlines()
        found = words[0][:300] if words else type(error).__name__
        raise refusal(f"{path} cannot be read", expected, found, remedy) from error


def leads_out(name: str) -> bool:
    r"""Whether a name that a file gives is no name of something below the file's folder.

    >>> [leads_out(name) for name in ("a.jpg", "b/a.jpg", "../a.jpg", "/etc/passwd", "a\0.jpg", "..", "")]
    [False, False, True, True, True, True, True]
    """
    parts = PurePosixPath(name).parts
    return not parts or name.startswith("/") or ".." in parts or "\0" in name


def is_plain_file(path: str | Path) -> bool:
    """Whether there is a plain file; False also for names that no file can have."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def _name(path: str | Path) -> str:
    text = str(path).replace("\0", "\\0")
    return text if len(text) <= 300 else f"{text[:297]}..."


def _check_nesting(text: str) -> None:
    if text.count("[") + text.count("{") <= DEEPEST:
        return
    depth = 0
    for match in _NESTED.finditer(text):
        if match.lastindex == 1:
            depth += 1
            if depth > DEEPEST:
                raise ValueError(f"lists or objects nested more than {DEEPEST} deep")
        elif match.lastindex == 2:
            depth -= 1


def _whole(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise ValueError(f"a whole number of {len(text)} digits")
    return int(text)
