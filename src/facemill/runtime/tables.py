"""Status tables: one row per photo, which ends as a result or as a reason why not."""

import io
import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyarrow import parquet

from facemill.runtime.errors import FacemillError, FormatError
from facemill.runtime.files import atomic_path
from facemill.runtime.inputs import decoding, read_content, require_plain_file, shown
from facemill.runtime.outcomes import ERROR, OK, Outcome, outcome_of
from facemill.runtime.settings import PhotoLimits
from facemill.runtime.storage import MADE_ANEW, DamagedFileError
from facemill.runtime.watched import CRASHED, watched_outcomes

MOST_ROWS = 10_000_000

logger = logging.getLogger(__name__)


class EveryPhotoFailedError(Exception):
    """Every photo that was tried met an unforeseen exception: the fault is the program's."""


def map_photos(
    table: pd.DataFrame,
    function: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    columns: Iterable[str],
    strict: bool = False,
    limits: PhotoLimits | None = None,
) -> pd.DataFrame:
    """Add the columns that `function` computes for each `ok` row; rows, order and other columns stay.

    A `PhotoError` turns into the row's `status` and `reason`; any other exception into status `error`,
    with its traceback in the log. Rows that are not `ok` pass through with empty new columns.

    Args:
        table: with columns `photo`, `status`, `reason`.
        function: takes a row as a mapping, returns the new columns.
        columns: names of the columns that `function` returns, so that an empty shard has them too.
        strict: let unforeseen exceptions through (tests do); nothing is limited then.
        limits: when given, `function` runs in a process of its own (what it changes here is lost); a photo
            that exceeds them or ends that process ends as `too_slow`, `too_much_memory` or `crashed`
            (`watched_outcomes`).
    Raises:
        EveryPhotoFailedError: at least one photo was tried and all of them ended as `error` or `crashed`.
        StorageError, DamagedFileError: a disk failed, or an earlier stage's file: no photo is to blame.
    """
    columns = list(columns)
    rows = table[table["status"] == OK].to_dict("records")
    tried = [{str(name): value for name, value in row.items()} for row in rows]
    outcomes: Iterable[Outcome]
    if limits is None or strict:
        outcomes = (outcome_of(function, row, strict) for row in tried)
    else:
        outcomes = watched_outcomes(function, tried, limits)
    failed, found = 0, []
    for row, outcome in zip(tried, outcomes, strict=True):
        found.append(outcome)
        if outcome.status in (ERROR, CRASHED):
            failed += 1
            logger.error("%s: %s", row["photo"], outcome.trace or outcome.reason)
    if tried and failed == len(tried):
        raise EveryPhotoFailedError(
            f"all {failed} photos of the shard failed; last reason: {found[-1].reason}"
        )
    logger.info("%d photos: %d tried, %d unforeseen errors", len(table), len(tried), failed)
    return _with_outcomes(table, columns, found)


def named_rows(
    table: pd.DataFrame, names: Sequence[str], without: str, page: str, column: str = "photo"
) -> pd.DataFrame:
    """The rows of `names`, all of them `ok`, in the order of the table.

    Args:
        without: what a row lacks that is not `ok`, such as "reconstruction"; page: of docs/ that says what a
            status means. column: that holds the names, `photo` or `person`.
    Raises:
        FacemillError: the table has no such row, or it is not `ok`.
    """
    known = table.set_index(column, drop=False)
    for name in names:
        if name not in known.index:
            raise FacemillError(
                f"{column} {name} is unknown",
                f"one of the {len(known)} names in the column `{column}` of the shard's table",
                f"names such as {', '.join(map(str, known.index[:3])) or '(none)'}",
                "photos go by their file name without its suffix, people by their folder",
            )
        row = known.loc[name]
        if row["status"] != OK:
            raise FacemillError(
                f"{column} {name} has no {without}",
                "status ok",
                f"status {row['status']}: {row['reason']}",
                f"see docs/{page} for what the status means",
            )
    return table[table[column].isin(list(names))].reset_index(drop=True)


def _with_outcomes(table: pd.DataFrame, columns: list[str], found: list[Outcome]) -> pd.DataFrame:
    """`table` with the outcomes of its `ok` rows."""
    waiting = iter(found)
    cells: dict[str, list[Any]] = {name: [] for name in ["status", "reason", *columns]}
    for status, reason in zip(table["status"], table["reason"], strict=True):
        outcome = next(waiting) if status == OK else Outcome({}, status, reason)
        cells["status"].append(outcome.status)
        cells["reason"].append(reason if outcome.status == OK else outcome.reason)
        for name in columns:
            cells[name].append(outcome.columns.get(name))
    result = table.copy()  # not a table of rows: whole numbers would become floats beside empty ones
    for name, values in cells.items():
        result[name] = pd.Series(values, index=table.index)
    return result


def write_table(path: str | Path, table: pd.DataFrame) -> None:
    """Write `table` as Parquet with checksums, atomically. Equal tables give equal bytes."""
    with atomic_path(path) as partial:
        table.to_parquet(partial, engine="pyarrow", index=False, write_page_checksum=True)


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a Parquet table and verify its checksums.

    Raises:
        DamagedFileError: the file is missing, is not a whole Parquet file, or says that it has more than
            `MOST_ROWS` rows.
    """
    expected = "a Parquet table written by Facemill"
    require_plain_file(path, expected, MADE_ANEW, DamagedFileError)
    with decoding(path, expected, MADE_ANEW, DamagedFileError):
        rows = parquet.read_metadata(path).num_rows
        if rows > MOST_ROWS:  # a few bytes can repeat one value so often
            raise ValueError(f"{rows} rows; at most {MOST_ROWS} are read")
        return parquet.read_table(path, page_checksum_verification=True).to_pandas()


def as_numbers(values: pd.DataFrame) -> pd.DataFrame:
    """The values as float64, NaN where there is no finite number, of however many digits.

    >>> as_numbers(pd.DataFrame({"a": ["1.5", "-", "inf", "9" * 400, None]}))["a"].tolist()
    [1.5, nan, nan, nan, nan]
    """
    return values.map(_number).astype(np.float64)


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def read_csv(
    path: str | Path, expected: str, remedy: str, columns: Sequence[str] = (), **options: Any
) -> pd.DataFrame:
    """Read a CSV table in UTF-8 that has at least `columns`; `options` are those of pandas.

    Raises:
        FormatError: the file is missing, is no plain file, is no such table, or lacks a column.
    """
    content = read_content(path, expected, remedy)
    with decoding(path, expected, remedy):
        table = pd.read_csv(io.BytesIO(content), encoding="utf-8-sig", **options)
    missing = [name for name in columns if name not in table]
    if missing:
        raise FormatError(
            f"{path} lacks the columns {', '.join(missing)}",
            ", ".join(columns),
            shown(list(table.columns)),
            remedy,
        )
    return table
