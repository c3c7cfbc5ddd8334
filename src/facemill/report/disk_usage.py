"""How much of the disk each stage of a run takes."""

import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

OTHER = "other files"
_WILDCARD = re.compile(r"\{[^{}]+\}")


def usage_by_rule(results: str | Path, outputs: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Bytes of the files below `results`, by the rule that made them.

    A file belongs to the rule whose output it is, or lies in; else to the rule whose name a folder above it
    has; else to the rule that made its neighbours, or those of its folder. What is left is `other files`;
    `logs` and `benchmarks` are entries of their own. Links count nothing.

    Args:
        results: folder of the run; may be missing.
        outputs: (path relative to `results` with {wildcards}, rule).
    """
    owners = _Owners(outputs)
    found: Counter[str] = Counter()
    waiting: list[tuple[str, str, str]] = [("", "", OTHER)]
    while waiting:
        place, owner, usual = waiting.pop()
        entries = {f"{place}/{name}".lstrip("/"): size for name, size in _entries(Path(results, place))}
        sizes = {path: size for path, size in entries.items() if size is not None}
        makers = {path: owner or owners.of_file(path) for path in sizes}
        neighbours = Counter(maker for maker in makers.values() if maker)
        usual = neighbours.most_common(1)[0][0] if neighbours and place else usual
        for path, size in sizes.items():
            found[makers[path] or usual] += size
        folders = entries.keys() - sizes.keys()
        waiting += [(path, owner or owners.of_folder(path), usual) for path in folders]
    return dict(found)


class _Owners:
    """Rules by what they write."""

    def __init__(self, outputs: Iterable[tuple[str, str]]) -> None:
        pairs = list(outputs)
        self._rules = [rule for _, rule in pairs]
        self._names = {"logs", "benchmarks", *self._rules}
        texts = [f"({'[^/]+'.join(map(re.escape, _WILDCARD.split(output)))})" for output, _ in pairs]
        self._pattern = re.compile("|".join(texts) if texts else "(?!)")

    def of_file(self, path: str) -> str:
        """The rule that declares a file or folder; empty if none does."""
        match = self._pattern.fullmatch(path)
        return self._rules[match.lastindex - 1] if match and match.lastindex else ""

    def of_folder(self, path: str) -> str:
        """The rule of a folder's content, by its own name or as an output; empty if none is known."""
        name = path.rpartition("/")[2]
        return name if name in self._names else self.of_file(path)


def _entries(folder: Path) -> list[tuple[str, int | None]]:
    """Names and sizes of files, and names of folders with None; those that vanish meanwhile are left out."""
    entries: list[tuple[str, int | None]] = []
    try:
        with os.scandir(folder) as listed:
            for entry in listed:
                if entry.is_dir(follow_symlinks=False):
                    entries.append((entry.name, None))
                elif not entry.is_symlink():
                    entries.append((entry.name, entry.stat(follow_symlinks=False).st_size))
    except FileNotFoundError:
        return entries
    return entries
