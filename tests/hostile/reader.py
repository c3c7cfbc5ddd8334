"""What the suite knows of a reader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hostile.inputs import Write

Read = Callable[[Path], Any]


@dataclass(frozen=True)
class Reader:
    """A reader under attack.

    name: in the table of counts. kind: how its file is taken apart for mutants and attacks.
    write: leaves a valid input in a folder; returns the file that is to be spoiled. read: of that file.
    share: of the number of inputs that it gets, less for slow ones. may_be_nan: NaN has a meaning there.
    names_file: whether refusals must name the file; a photo's reason stands in a row that does.
    """

    name: str
    kind: str
    write: Write
    read: Read
    share: float = 1.0
    may_be_nan: bool = False
    names_file: bool = True
