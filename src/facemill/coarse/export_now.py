"""Our predictions in the layout of the NoW benchmark: what is scored, and what is submitted."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from facemill.coarse.export_settings import ExportNowSettings
from facemill.formats.meshes import write_mesh
from facemill.formats.now import NowCase
from facemill.formats.now_predictions import (
    prediction_place,
    write_prediction_landmarks,
    write_prediction_table,
)
from facemill.geometry.mesh import Mesh
from facemill.models.morphable import MorphableModel
from facemill.runtime.files import atomic_folder
from facemill.runtime.tables import OK

Kind = Literal["coarse", "mean_face"]

COLUMNS = ("case", "photo", "status", "reason", "landmark_error", "photometric_error")
NOT_RECONSTRUCTED = "not_reconstructed"


class ReconstructedShard(NamedTuple):
    """What `reconstruct_coarse` left of a shard: its table, and its arrays (`photo` and coefficients)."""

    table: pd.DataFrame
    arrays: Mapping[str, NDArray]


def export_now(
    kind: Kind,
    cases: Sequence[NowCase],
    shards: Iterable[ReconstructedShard],
    model: MorphableModel,
    folder: str | Path,
    expression: Literal["neutral", "predicted"],
    settings: ExportNowSettings,
) -> pd.DataFrame:
    """Write mesh and seven landmarks of each case to `<folder>/<subject>/<challenge>/`; whole or not at all.

    The mesh is the whole head, millimetres, head frame, without colours. `predictions.csv` in the folder has
    a row per case with `COLUMNS`; a case whose photo did not become a face has no mesh, and the status and
    reason of its photo.

    Args:
        kind: `coarse`: the faces of `shards`; `mean_face`: the model's mean for every case.
        shards: their tables' column `file` ends with the case's `<subject>/<challenge>/<image>.<suffix>`;
            none for `mean_face`.
        expression: neutral, or as reconstructed.
    Returns:
        The table.
    Raises:
        ValueError: the model has no vertex for one of the seven landmarks.
    """
    if int(model.topology.now_landmarks.min()) < 0:
        raise ValueError("model: expected a vertex for each of the 7 landmarks of NoW, found one without")
    with atomic_folder(folder) as partial:
        writer = _Writer(model, partial, settings)
        if kind == "mean_face":
            rows = _write_mean(cases, writer)
        else:
            rows = _write_faces(cases, shards, writer, expression == "predicted")
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        write_prediction_table(partial, table)
    return table


class _Writer:
    """Writes the head of coefficients at the place of a case."""

    def __init__(self, model: MorphableModel, folder: Path, settings: ExportNowSettings) -> None:
        self.model, self.folder, self.settings = model, folder, settings
        self.triangles = model.topology.triangles.numpy()
        self.landmarks = model.topology.now_landmarks.numpy()

    def write(self, case: NowCase, identity: NDArray, expression: NDArray) -> tuple[Path, Path]:
        """The mesh and the landmark file that it wrote; identity (K,), expression (E,)."""
        dtype = self.model.albedo_mean.dtype
        coefficients = (torch.from_numpy(np.atleast_2d(part)).to(dtype) for part in (identity, expression))
        with torch.no_grad():
            shape = self.model.shape(*coefficients)[0].double().numpy()
        mesh = prediction_place(self.folder, case, f".{self.settings.mesh}")
        points = prediction_place(self.folder, case, f".{self.settings.landmarks}")
        write_mesh(mesh, Mesh(shape, self.triangles))
        write_prediction_landmarks(points, shape[self.landmarks])
        return mesh, points


def _write_mean(cases: Sequence[NowCase], writer: _Writer) -> list[tuple]:
    """One head, and links to it where the file system has them."""
    model = writer.model
    files: tuple[Path, ...] = ()
    for case in cases:
        if files:
            for file in files:
                _link(file, prediction_place(writer.folder, case, file.suffix))
        else:
            files = writer.write(case, np.zeros(model.identity_count), np.zeros(model.expression_count))
    return [(case.name, "", OK, "", np.nan, np.nan) for case in cases]


def _write_faces(
    cases: Sequence[NowCase], shards: Iterable[ReconstructedShard], writer: _Writer, with_expression: bool
) -> list[tuple]:
    case_of_picture = {case.picture: case for case in cases}
    row_of_case: dict[NowCase, tuple] = {}
    for shard in shards:
        at = {str(photo): index for index, photo in enumerate(shard.arrays["photo"])}
        for row in shard.table.to_dict("records"):
            case = case_of_picture.get("/".join(str(row["file"]).split("/")[-3:]))
            if case is None or case in row_of_case:  # another list's picture, or a further face
                continue
            photo, status = str(row["photo"]), str(row["status"])
            if status == OK:
                expression = shard.arrays["expression"][at[photo]]
                identity = shard.arrays["identity"][at[photo]]
                writer.write(case, identity, expression if with_expression else np.zeros_like(expression))
            errors = (float(row["landmark_error"]), float(row["photometric_error"]))
            row_of_case[case] = (case.name, photo, status, str(row["reason"]), *errors)
    absent = (NOT_RECONSTRUCTED, "the photo set does not hold its picture", np.nan, np.nan)
    return [row_of_case.get(case, (case.name, "", *absent)) for case in cases]


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)
