"""The 68 landmarks of reconstructed faces on their photos, one text file per photo: what is scored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from facemill.coarse.export_now import ReconstructedShard
from facemill.faces.crop_camera import crop_camera
from facemill.faces.decode import FaceDecoder
from facemill.faces.landmark_offsets import landmark_offsets
from facemill.formats.landmarks import write_points_text
from facemill.formats.now_predictions import write_prediction_table
from facemill.geometry.image import transform_points
from facemill.models.coefficients import Coefficients
from facemill.models.morphable import MorphableModel
from facemill.runtime.files import atomic_folder
from facemill.runtime.tables import OK


def export_landmarks(
    shards: Iterable[ReconstructedShard], model: MorphableModel, folder: str | Path, convention: str
) -> pd.DataFrame:
    """Write `<folder>/<photo>.txt` for each face: 68 points, pixels of the photo; whole or not at all.

    They are projected from the reconstruction, where an annotator would mark them: jaw points lie on the
    silhouette, and points that `convention` has elsewhere than the model are moved (`landmark_offsets`).
    `predictions.csv` in the folder says of each photo, by its file name without suffix in the column `case`,
    what became of it. Further faces of a photo are left out.

    Returns:
        That table: `case`, `status`, `reason`.
    """
    offsets = landmark_offsets(model.topology, convention)
    rows: dict[str, tuple[str, str, str]] = {}
    with atomic_folder(folder) as partial:
        for shard in shards:
            decoder = FaceDecoder(model, crop_camera(shard.arrays), offsets)
            at = {str(photo): index for index, photo in enumerate(shard.arrays["photo"])}
            for row in shard.table.to_dict("records"):
                name, status = Path(str(row["file"])).stem, str(row["status"])
                if name in rows:
                    continue
                rows[name] = (name, status, str(row["reason"]))
                if status == OK:
                    points = _projected(decoder, shard, at[str(row["photo"])])
                    photo_from_crop = np.asarray(row["photo_from_crop"], dtype=np.float64).reshape(3, 3)
                    write_points_text(partial / f"{name}.txt", transform_points(photo_from_crop, points))
        table = pd.DataFrame(list(rows.values()), columns=["case", "status", "reason"])
        write_prediction_table(partial, table)
    return table


def _projected(decoder: FaceDecoder, shard: ReconstructedShard, index: int) -> np.ndarray:
    """(68, 2) pixels of the crop."""
    face = Coefficients(
        **{
            field.name: torch.from_numpy(np.asarray(shard.arrays[field.name][index : index + 1]))
            for field in fields(Coefficients)
        }
    )
    with torch.no_grad():
        return decoder(face).landmarks[0].double().numpy()
