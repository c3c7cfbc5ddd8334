"""Files from the future: a clock that was ahead must not decide what is made again."""

from __future__ import annotations

import os
import time
from pathlib import Path

TOLERANCE = 2_000_000_000  # ns; clocks of file servers differ a little


def settle_future_times(folder: str | Path) -> int:
    """Give files below `folder` whose time lies ahead of the clock a time just before now; their number.

    Their order among one another and after all older files stays, so that what is older than its input is
    still older. Snakemake refuses to work with an input from the future.
    """
    now = time.time_ns()
    ahead: list[tuple[int, str]] = []
    for place, folders, files in os.walk(folder):
        for name in (*files, *folders):
            path = os.path.join(place, name)
            try:
                changed = os.lstat(path).st_mtime_ns
            except FileNotFoundError:
                continue  # another process of the run has just replaced it
            if changed > now + TOLERANCE:
                ahead.append((changed, path))
    ranks = {changed: rank for rank, changed in enumerate(sorted({time for time, _ in ahead}))}
    for changed, path in ahead:
        settled = now - 1000 * (len(ranks) - ranks[changed])
        os.utime(path, ns=(settled, settled), follow_symlinks=False)
    return len(ahead)
