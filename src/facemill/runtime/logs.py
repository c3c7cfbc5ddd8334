"""One log per rule: what happened, and the exception that ended it."""

import logging
import sys
from pathlib import Path
from types import TracebackType


def log_to(path: str | Path) -> None:
    """Send all log records, warnings and the uncaught exception of this process to the file `path`."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler, _errors_to_stderr()], force=True)
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught


def _errors_to_stderr() -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.ERROR)
    handler.setFormatter(logging.Formatter("%(message)s"))
    return handler


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger("facemill").critical("ended by an exception", exc_info=(kind, error, trace))
