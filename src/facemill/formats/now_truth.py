"""What is known about each picture of a made data set in NoW's layout: the table `truth.csv` in its root."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from facemill.formats.now_writer import TRUTH_TABLE
from facemill.runtime.errors import FormatError
from facemill.runtime.tables import read_csv

NAMES = ("subject", "challenge", "image")


def read_truth(dataset: str | Path) -> pd.DataFrame | None:
    """The table, indexed by case (`<subject>/<challenge>/<image>`), or None for a data set without one.

    Raises:
        FormatError: it cannot be read, lacks the columns `subject`, `challenge`, `image`, or names a picture
            twice.
    """
    path = Path(dataset) / TRUTH_TABLE
    if not path.is_file():
        return None
    expected = "a CSV table with " + ", ".join(NAMES) + " and what is known about the picture"
    remedy = "restore or remove it"
    options = {"dtype": dict.fromkeys(NAMES, str), "keep_default_na": False, "na_values": [""]}
    table = read_csv(path, expected, remedy, NAMES, **options)
    if table[list(NAMES)].isna().any(axis=None):
        raise FormatError(f"{path} does not name every picture", expected, "an empty name", remedy)
    index = table["subject"] + "/" + table["challenge"] + "/" + table["image"]
    if index.duplicated().any():
        found = f"{index[index.duplicated()].iloc[0]} twice"
        raise FormatError(f"{path} names a picture twice", expected, found, remedy)
    return table.set_index(index.rename("case"))
