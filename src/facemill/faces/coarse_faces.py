"""The faces that `reconstruct_coarse` found in a shard, by the names of their photos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray

from facemill.faces.crop_camera import crop_camera
from facemill.faces.decode import FaceDecoder
from facemill.faces.posed_face import PosedFace, pose_face
from facemill.models.coefficients import Coefficients
from facemill.models.morphable import MorphableModel
from facemill.runtime.errors import FormatError
from facemill.runtime.tables import OK


@dataclass(frozen=True)
class CoarseFaces:
    """Coefficients (N faces) of a shard and what decodes them.

    Attributes:
        row_of_photo: name -> row of `coefficients`.
        camera_distance: mm, one for the shard.
    """

    decoder: FaceDecoder
    coefficients: Coefficients
    row_of_photo: Mapping[str, int]
    camera_distance: float

    @property
    def widths(self) -> dict[str, int]:
        """Numbers in each field of `Coefficients`."""
        return {f.name: getattr(self.coefficients, f.name).shape[1] for f in fields(Coefficients)}

    def posed(self, photo: str, photo_from_crop: ArrayLike) -> PosedFace:
        """The face of a photo; photo_from_crop: nine numbers, row-major."""
        row = self.row_of_photo[photo]
        transform = np.asarray(photo_from_crop, dtype=np.float64).reshape(3, 3)
        return pose_face(self.decoder, self.coefficients.select(slice(row, row + 1)), transform)


def read_coarse(table: pd.DataFrame, arrays: Mapping[str, NDArray], model: MorphableModel) -> CoarseFaces:
    """Match the table and the arrays of `reconstruct_coarse`.

    Raises:
        FormatError: `arrays` lacks a field or an `ok` photo, or is of another model.
    """
    names = [field.name for field in fields(Coefficients)]
    missing = [name for name in ("photo", *names) if name not in arrays]
    if missing:
        raise FormatError(
            f"the arrays of reconstruct_coarse lack {', '.join(missing)}",
            ", ".join(("photo", *names)),
            ", ".join(sorted(arrays)) or "nothing",
            "run reconstruct_coarse again",
        )
    row_of_photo = {str(name): row for row, name in enumerate(arrays["photo"])}
    absent = [
        str(name) for name in table.loc[table["status"] == OK, "photo"] if str(name) not in row_of_photo
    ]
    if absent:
        raise FormatError(
            f"the arrays of reconstruct_coarse lack {len(absent)} photos of its table, first {absent[0]}",
            "a row per photo of status ok",
            f"{len(row_of_photo)} rows",
            "table and arrays are of different runs: run reconstruct_coarse again",
        )
    if arrays["identity"].shape[1:] != (model.identity_count,):
        raise FormatError(
            "the coefficients are those of another morphable model",
            f"{model.identity_count} identity coefficients",
            f"{arrays['identity'].shape[1:]}",
            "reconstruct the set with the model of this run",
        )
    values: dict[str, Any] = {name: torch.from_numpy(np.asarray(arrays[name], np.float32)) for name in names}
    camera = crop_camera(arrays)
    distance = float(camera.translation.norm())
    return CoarseFaces(FaceDecoder(model, camera), Coefficients(**values), row_of_photo, distance)
