"""Digest of the library code that a script depends on, so that a code change reruns what it must."""

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

PACKAGE = "facemill"


def code_digest(script: str | Path, source: str | Path) -> str:
    """A digest of every module of the library that `script` imports, directly or through others.

    Args:
        script: a Python file.
        source: the folder that holds the package (`src`).
    """
    modules = library_modules(Path(script), Path(source))
    total = hashlib.sha256()
    for path in sorted(modules):
        total.update(path.relative_to(source).as_posix().encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:16]


def file_digest(paths: Iterable[str | Path]) -> str:
    """A digest of the contents of files; one that is still to be made counts as empty."""
    total = hashlib.sha256()
    for path in map(Path, paths):
        total.update(_content_digest(path, path.stat().st_mtime_ns) if path.is_file() else bytes(32))
    return total.hexdigest()[:16]


@cache
def _content_digest(path: Path, _modified: int) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def library_modules(script: Path, source: Path) -> set[Path]:
    """Files of the library that `script` reaches through its imports, found without running anything."""
    found: set[Path] = set()
    waiting = list(_imports(script, source))
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting.extend(_imports(path, source))
    return found


@cache
def _imports(path: Path, source: Path) -> tuple[Path, ...]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    files = []
    for name in names:
        if name.split(".")[0] == PACKAGE:
            module = source.joinpath(*name.split("."))
            files += [file for file in (module.with_suffix(".py"), module / "__init__.py") if file.is_file()]
    return tuple(files)
