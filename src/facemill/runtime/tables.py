"""Status tables: one row per photo, which ends as a result or as a reason why not."""

import io
import logging
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pyarrow import parquet

from facemill.runtime.errors import FormatError, PhotoError
from facemill.runtime.files import atomic_path
from facemill.runtime.inputs import decoding, read_content, require_plain_file, shown

OK = "ok"
ERROR = "error"
MOST_ROWS = 10_000_000

logger = logging.getLogger(__name__)


class EveryPhotoFailedError(Exception):
    """Every photo that was tried met an unforeseen exception: the fault is the program's."""


def map_photos(
    table: pd.DataFrame,
    function: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    columns: Iterable[str],
    strict: bool = False,
) -> pd.DataFrame:
    """Add the columns that `function` computes for each `ok` row; rows, order and other columns stay.

    A `PhotoError` turns into the row's `status` and `reason`; any other exception into status `error`,
    with its traceback in the log. Rows that are not `ok` pass through with empty new columns.

    Args:
        table: with columns `photo`, `status`, `reason`.
        function: takes a row as a mapping, returns the new columns.
        columns: names of the columns that `function` returns, so that an empty shard has them too.
        strict: let unforeseen exceptions through (tests do).
    Raises:
        EveryPhotoFailedError: at least one photo was tried and all of them ended as `error`.
    """
    columns = list(columns)
    rows: list[dict[str, Any]] = []
    tried = failed = 0
    for record in table.to_dict("records"):
        row = {str(name): value for name, value in record.items()}
        new: dict[str, Any] = dict.fromkeys(columns)
        if row["status"] == OK:
            tried += 1
            try:
                new.update(function(row))
            except PhotoError as error:
                row["status"], row["reason"] = error.status, error.reason
            except Exception as error:  # a photo must not end the shard: it ends as a row
                if strict:
                    raise
                failed += 1
                logger.error("%s: %s", row["photo"], traceback.format_exc())
                row["status"], row["reason"] = ERROR, f"{type(error).__name__}: {error}"
        rows.append({**row, **new})
    if tried and failed == tried:
        raise EveryPhotoFailedError(
            f"all {failed} photos of the shard failed; last reason: {rows[-1]['reason']}"
        )
    logger.info("%d photos: %d tried, %d unforeseen errors", len(rows), tried, failed)
    result = table.copy()  # not a table of `rows`: whole numbers would become floats beside empty ones
    for name in ["status", "reason", *columns]:
        result[name] = pd.Series([row[name] for row in rows], index=table.index)
    return result


def write_table(path: str | Path, table: pd.DataFrame) -> None:
    """Write `table` as Parquet, atomically. Equal tables give equal bytes."""
    with atomic_path(path) as partial:
        table.to_parquet(partial, engine="pyarrow", index=False)


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a Parquet table.

    Raises:
        FormatError: the file is missing, is not a whole Parquet file, or says that it has more than
            `MOST_ROWS` rows.
    """
    expected, remedy = "a Parquet table written by Facemill", "make it again"
    require_plain_file(path, expected, remedy)
    with decoding(path, expected, remedy):
        rows = parquet.read_metadata(path).num_rows
        if rows > MOST_ROWS:  # a few bytes can repeat one value so often
            raise ValueError(f"{rows} rows; at most {MOST_ROWS} are read")
        return pd.read_parquet(path, engine="pyarrow")


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
