"""Snakemake's benchmark files: what each job took."""

from pathlib import Path

import pandas as pd

from facemill.runtime.tables import as_numbers, read_csv

COLUMNS = {"s": "seconds", "cpu_time": "cpu_seconds", "max_rss": "memory"}


def read_benchmarks(folder: str | Path) -> pd.DataFrame:
    """A row per job: `rule`, `set`, `seconds`, `cpu_seconds`, `memory` (MiB).

    Values that Snakemake could not measure (`-`, `NA`) count nothing.

    Args:
        folder: with <rule>.tsv, <rule>/<set>.tsv or <rule>/<set>/**/*.tsv; may be missing. What stands in the
            place of a set is the caller's to interpret; it is empty for <rule>.tsv.
    Raises:
        FormatError: a file is no benchmark.
    """
    rows = []
    for path in sorted(Path(folder).rglob("*.tsv")):
        expected = "a benchmark of Snakemake"
        table = read_csv(path, expected, "remove it", ("s", "max_rss"), sep="\t", dtype=str)
        numbers = as_numbers(table.reindex(columns=list(COLUMNS))).fillna(0.0)
        rule, *places = path.relative_to(folder).with_suffix("").parts
        rows.append(numbers.rename(columns=COLUMNS).assign(rule=rule, set=places[0] if places else ""))
    if not rows:
        return pd.DataFrame(columns=["rule", "set", *COLUMNS.values()])
    return pd.concat(rows, ignore_index=True)[["rule", "set", *COLUMNS.values()]]
