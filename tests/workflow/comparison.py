"""What the results of two runs say, but for times."""

import json
from pathlib import Path

import pandas as pd

from facemill.runtime.locks import LOCK


def contents(results: Path) -> dict[str, bytes]:
    """What every result below a folder says; paths are relative to it."""
    files = [path for path in sorted(results.rglob("*")) if path.is_file()]
    names = {path: path.relative_to(results).as_posix() for path in files}
    return {name: content(path) for path, name in names.items() if not tells_times(name)}


def tells_times(name: str) -> bool:
    """Logs, measured times, the files that show them, and TensorBoard's events, which hold a clock.

    Locks name processes.
    """
    return (
        name.startswith(("logs/", "benchmarks/", "report.html", "plan.csv", "costs.csv"))
        or "/run/tensorboard/" in name
        or name.endswith(LOCK)
    )


def content(path: Path) -> bytes:
    """The bytes of a file; of the journal of a training without its speed, of a result without its costs."""
    if path.name == "result.json":
        return json.dumps(json.loads(path.read_text()) | {"costs": None}).encode()
    if path.name != "metrics.csv":
        return path.read_bytes()
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    return table.drop(columns="images_per_second").to_csv(index=False).encode()


def check_equal(found: Path, expected: Path, names: tuple[str, ...] = ()) -> None:
    """Two folders of results say the same; `names`: only the files and folders of these beginnings."""
    ours, theirs = (
        {name: value for name, value in contents(place).items() if not names or name.startswith(names)}
        for place in (found, expected)
    )
    assert theirs, f"nothing to compare in {expected}"
    assert sorted(ours) == sorted(theirs)
    assert [name for name in theirs if ours[name] != theirs[name]] == []
