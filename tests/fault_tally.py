"""How many faults the tests injected, and how many the workflow survived."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


class FaultTally:
    """Counts by kind."""

    def __init__(self) -> None:
        self.injected: Counter[str] = Counter()
        self.survived: Counter[str] = Counter()

    @contextmanager
    def fault(self, kind: str) -> Iterator[None]:
        """One fault: it counts as survived when the block ends without an error."""
        self.injected[kind] += 1
        yield
        self.survived[kind] += 1

    def lines(self) -> list[str]:
        """A table with a row per kind."""
        total = sum(self.injected.values()), sum(self.survived.values())
        rows = [(kind, self.injected[kind], self.survived[kind]) for kind in sorted(self.injected)]
        return [f"{'fault':<44}{'injected':>10}{'survived':>10}"] + [
            f"{kind:<44}{injected:>10}{survived:>10}"
            for kind, injected, survived in (*rows, ("total", *total))
        ]


TALLY = pytest.StashKey[FaultTally]()
