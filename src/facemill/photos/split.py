"""Training and validation photos, chosen by a hash of the photo's name."""

import logging
from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from facemill.photos.settings import SplitSettings
from facemill.runtime.seeds import seed_of
from facemill.runtime.tables import OK

COLUMNS = ["photo", "shard", "file"]

logger = logging.getLogger(__name__)


class Split(NamedTuple):
    """Two tables with `photo`, `shard`, `file`, in the order of `photo`."""

    train: pd.DataFrame
    val: pd.DataFrame


def split_dataset(tables: Iterable[pd.DataFrame], settings: SplitSettings) -> Split:
    """Divide the `ok` rows of all shards.

    A photo's side depends on its file name, `settings.seed` and `settings.val_share` only: new photos move
    none, a larger share keeps all that were held out, and all faces of one photo are on one side.
    """
    rows = pd.concat(list(tables), ignore_index=True)
    rows = rows.loc[rows["status"] == OK, COLUMNS].sort_values("photo", ignore_index=True)
    held_out = rows["file"].map(lambda file: _is_held_out(file, settings)).astype(bool)
    split = Split(rows[~held_out].reset_index(drop=True), rows[held_out].reset_index(drop=True))
    logger.info("%d photos for training, %d for validation", len(split.train), len(split.val))
    return split


def _is_held_out(file: str, settings: SplitSettings) -> bool:
    return seed_of(settings.seed, "split_dataset", file) < settings.val_share * 2**63
