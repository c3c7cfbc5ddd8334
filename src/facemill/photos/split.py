"""Training and validation photos, chosen by a hash of the photo's name."""

import logging
from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from facemill.photos.settings import SplitSettings
from facemill.runtime.seeds import seed_of
from facemill.runtime.tables import OK

COLUMNS = ["photo", "shard", "file"]
PERSON = "person"

logger = logging.getLogger(__name__)


class Split(NamedTuple):
    """Two tables with `photo`, `shard`, `file`, in the order of `photo`."""

    train: pd.DataFrame
    val: pd.DataFrame


def split_dataset(tables: Iterable[pd.DataFrame], settings: SplitSettings) -> Split:
    """Divide the `ok` rows of all shards.

    A photo's side depends on its person, or where there is none on its file name, on `settings.seed` and
    `settings.val_share` only: new photos move none, a larger share keeps all that were held out, and all
    photos of one person, and all faces of one photo, are on one side.
    """
    rows = pd.concat(list(tables), ignore_index=True)
    if PERSON not in rows:
        rows[PERSON] = ""
    rows = rows.loc[rows["status"] == OK, [*COLUMNS, PERSON]].sort_values("photo", ignore_index=True)
    whose = rows[PERSON].where(rows[PERSON].astype(bool), rows["file"])
    held_out = whose.map(lambda name: _is_held_out(name, settings)).astype(bool)
    rows = rows[COLUMNS]
    split = Split(rows[~held_out].reset_index(drop=True), rows[held_out].reset_index(drop=True))
    logger.info("%d photos for training, %d for validation", len(split.train), len(split.val))
    return split


def _is_held_out(name: str, settings: SplitSettings) -> bool:
    return seed_of(settings.seed, "split_dataset", name) < settings.val_share * 2**63
