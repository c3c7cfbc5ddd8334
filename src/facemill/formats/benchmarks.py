"""Snakemake's benchmark files: what jobs of rules cost.

Snakemake (9.27, `benchmark.py`) looks at a running job every half second for 15 seconds and then every 30:
the processor time that it writes is that of its last look, which of a job of 40 seconds is less than half.
"""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from facemill.runtime.errors import FormatError
from facemill.runtime.inputs import decoding, is_plain_file, read_text, shown

OFTEN, SELDOM = 15.0, 30.0  # seconds for which Snakemake looks often, and between its looks afterwards


class Cost(NamedTuple):
    """seconds: of wall clock. processor_seconds: of all threads. memory: MiB of resident memory, at most.

    The processor time after Snakemake's last look is taken to be as before; a peak of memory between two
    looks is missed. None where Snakemake could not measure it (`-`, `NA`).
    """

    seconds: float | None
    processor_seconds: float | None
    memory: float | None


def read_cost(path: str | Path) -> Cost | None:
    """The last row of a benchmark file (`s`, `cpu_time`, `max_rss`); None where no file is.

    Raises:
        FormatError: the file cannot be read or is no benchmark.
    """
    if not is_plain_file(path):
        return None
    text = read_text(path, "a benchmark of Snakemake", "remove it")
    with decoding(path, "a benchmark of Snakemake", "remove it"):
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter="\t"))
    if not rows or "s" not in rows[-1] or "max_rss" not in rows[-1]:
        raise FormatError(
            f"{path} is no benchmark of Snakemake",
            "a row with s and max_rss",
            shown(list(rows[-1])) if rows else "no row",
            "remove it",
        )
    seconds, seen, memory = (_number(rows[-1].get(name)) for name in ("s", "cpu_time", "max_rss"))
    if seconds and seen is not None:
        seen *= seconds / last_look(seconds)
    return Cost(seconds, seen, memory)


def last_look(seconds: float) -> float:
    """When Snakemake looked last at a job that took so long, seconds from its start.

    >>> last_look(12.0), last_look(37.0), last_look(100.0)
    (12.0, 15.0, 75.0)
    """
    if seconds <= OFTEN:
        return seconds
    return OFTEN + SELDOM * ((seconds - OFTEN) // SELDOM)


def read_benchmarks(folder: str | Path) -> pd.DataFrame:
    """A row per job: `rule`, `set`, `seconds`, `cpu_seconds`, `memory` (MiB); what was not measured is 0.

    Args:
        folder: with <rule>.tsv, <rule>/<set>.tsv or <rule>/<set>/**/*.tsv; may be missing. What stands in the
            place of a set is the caller's to interpret; it is empty for <rule>.tsv.
    Raises:
        FormatError: a file is no benchmark.
    """
    rows = []
    for path in sorted(Path(folder).rglob("*.tsv")):
        cost = read_cost(path)
        rule, *places = path.relative_to(folder).with_suffix("").parts
        if cost is not None:
            rows.append((rule, places[0] if places else "", *(value or 0.0 for value in cost)))
    return pd.DataFrame(rows, columns=["rule", "set", "seconds", "cpu_seconds", "memory"])


def _number(text: str | None) -> float | None:
    """
    >>> _number("2.5"), _number("-"), _number(None)
    (2.5, None, None)
    """
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None
