"""The displacement that `reconstruct_detail` found in a shard, by the names of its photos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from facemill.detail.atlas import DetailAtlas, prepare_detail_atlas
from facemill.formats.displacement import SCALE
from facemill.models.topology import Topology
from facemill.runtime.errors import FormatError
from facemill.runtime.tables import OK

#: Arrays of `reconstruct_detail`.
ARRAYS = ("photo", "displacement", "confidence", "window", "size")


@dataclass(frozen=True)
class DetailMaps:
    """Window maps of a shard; `displacement` in steps of 0.1 micrometres, `confidence` in 255ths."""

    atlas: DetailAtlas
    displacement: NDArray[np.int16]
    confidence: NDArray[np.uint8]
    row_of_photo: Mapping[str, int]

    def displacement_of(self, photo: str) -> Tensor:
        """(h, w) millimetres, float32."""
        steps = self.displacement[self.row_of_photo[photo]].astype(np.float64)
        return torch.from_numpy((steps * SCALE).astype(np.float32))

    def confidence_of(self, photo: str) -> Tensor:
        """(h, w) 0..1, float32."""
        return torch.from_numpy(self.confidence[self.row_of_photo[photo]].astype(np.float32) / 255)


def read_detail(table: pd.DataFrame, arrays: Mapping[str, NDArray], topology: Topology) -> DetailMaps:
    """Match the table and the arrays of `reconstruct_detail`, and prepare the atlas they are about.

    Raises:
        FormatError: `arrays` lacks a key or an `ok` photo, or is of another model or window; or the atlas of
            the model is refused (`prepare_detail_atlas`).
    """
    missing = [name for name in ARRAYS if name not in arrays]
    if missing:
        raise FormatError(
            f"the detail lacks {', '.join(missing)}",
            "the arrays of reconstruct_detail",
            ", ".join(sorted(arrays)) or "none",
            "give the .npz that reconstruct_detail wrote with this table",
        )
    atlas = prepare_detail_atlas(topology, int(arrays["size"]))
    window = tuple(int(value) for value in np.asarray(arrays["window"]).reshape(-1))
    if window != atlas.window:
        raise FormatError(
            "the detail is that of another morphable model",
            f"the window {atlas.window} of its atlas (top, left, height, width)",
            str(window),
            "reconstruct the set with the model of this run",
        )
    row_of_photo = {str(name): row for row, name in enumerate(arrays["photo"])}
    absent = [
        str(name) for name in table.loc[table["status"] == OK, "photo"] if str(name) not in row_of_photo
    ]
    shape = (len(row_of_photo), *window[2:])
    if absent or arrays["displacement"].shape != shape or arrays["confidence"].shape != shape:
        raise FormatError(
            "the detail does not match its table",
            f"a map of {window[2]} x {window[3]} for each photo that is ok",
            f"{arrays['displacement'].shape}" + (f", none for {absent[0]}" if absent else ""),
            "table and arrays are of different runs: run reconstruct_detail again",
        )
    return DetailMaps(atlas, arrays["displacement"], arrays["confidence"], row_of_photo)
