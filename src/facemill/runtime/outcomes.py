"""What became of one photo: its new columns, or a status and the reason why not."""

import traceback
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from facemill.runtime.errors import PhotoError
from facemill.runtime.storage import is_machine_fault

OK = "ok"
ERROR = "error"

Row = Mapping[str, Any]


class Outcome(NamedTuple):
    """Result of one photo.

    Attributes:
        columns: new columns; empty unless `status` is `ok`.
        status: `ok`, or a code in snake case.
        reason: one sentence, empty for `ok`.
        trace: traceback of an exception that nobody foresaw, for the log; else empty.
    """

    columns: Mapping[str, Any]
    status: str = OK
    reason: str = ""
    trace: str = ""


def outcome_of(function: Callable[[Row], Mapping[str, Any]], row: Row, strict: bool = False) -> Outcome:
    """Call `function` with `row`; exceptions become outcomes, but for unforeseen ones where `strict`.

    Raises:
        StorageError, DamagedFileError, OSError: a disk failed, or a file of an earlier stage is damaged.
    """
    try:
        return Outcome(function(row))
    except PhotoError as error:
        return Outcome({}, error.status, error.reason)
    except Exception as error:  # a photo must not end the shard: it ends as a row
        if strict or is_machine_fault(error):
            raise
        return Outcome({}, ERROR, f"{type(error).__name__}: {error}", traceback.format_exc())
