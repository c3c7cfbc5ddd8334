"""Status tables: one row per photo, which ends as a result or as a reason why not."""

import logging
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from pyarrow import parquet

from facemill.runtime.errors import PhotoError
from facemill.runtime.files import atomic_path
from facemill.runtime.storage import MADE_ANEW, DamagedFileError, is_machine_fault

OK = "ok"
ERROR = "error"

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
        StorageError, DamagedFileError: a disk failed, or an earlier stage's file: no photo is to blame.
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
                if strict or is_machine_fault(error):
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
    """Write `table` as Parquet with checksums, atomically. Equal tables give equal bytes."""
    with atomic_path(path) as partial:
        table.to_parquet(partial, engine="pyarrow", index=False, write_page_checksum=True)


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a Parquet table and verify its checksums.

    Raises:
        DamagedFileError: the file is missing or is not a whole Parquet file.
    """
    try:
        return parquet.read_table(path, page_checksum_verification=True).to_pandas()
    except (OSError, ValueError, KeyError, TypeError, MemoryError) as error:
        raise DamagedFileError(
            f"{path} cannot be read as a Parquet table", "a table written by Facemill", str(error), MADE_ANEW
        ) from error
