"""Our predictions in the layout of the NoW benchmark: what is scored, and what is submitted."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

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
from facemill.runtime.errors import FormatError
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
    identity: str = "photo",
    people: Iterable[Mapping[str, NDArray]] = (),
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
        identity: photo: of each photo; subject: the mean over all reconstructed photos of its subject;
            person: that of the case's person in `people`; start_…: what that began with.
        people: arrays of `reconstruct_person`, one per shard.
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
            faces = dict(_faces_of(cases, shards))
            if identity == "subject":
                faces = _with_mean(faces)
            elif identity != "photo":
                faces = _with_person(faces, people, "identity" if identity == "person" else identity)
            rows = _write_faces(cases, faces, writer, expression == "predicted")
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
    cases: Sequence[NowCase], faces: Mapping[NowCase, _Face], writer: _Writer, with_expression: bool
) -> list[tuple]:
    row_of_case: dict[NowCase, tuple] = {}
    for case, face in faces.items():
        if face.identity is not None and face.expression is not None:
            expression = face.expression if with_expression else np.zeros_like(face.expression)
            writer.write(case, face.identity, expression)
        row, name = face.row, str(face.row["photo"])
        errors = (float(row["landmark_error"]), float(row["photometric_error"]))
        row_of_case[case] = (case.name, name, str(row["status"]), str(row["reason"]), *errors)
    absent = (NOT_RECONSTRUCTED, "the photo set does not hold its picture", np.nan, np.nan)
    return [row_of_case.get(case, (case.name, "", *absent)) for case in cases]


class _Face(NamedTuple):
    """A row of `reconstruct_coarse` and its coefficients, None where there is no face."""

    row: Mapping[Any, Any]
    identity: NDArray | None
    expression: NDArray | None


def _with_mean(faces: Mapping[NowCase, _Face]) -> dict[NowCase, _Face]:
    """The faces with the mean identity of their subject."""
    of_subject: dict[str, list[NDArray]] = {}
    for case, face in faces.items():
        if face.identity is not None:
            of_subject.setdefault(case.subject, []).append(face.identity)
    means = {subject: np.mean(identities, axis=0) for subject, identities in of_subject.items()}
    return {
        case: face if face.identity is None else face._replace(identity=means[case.subject])
        for case, face in faces.items()
    }


def _with_person(
    faces: Mapping[NowCase, _Face], people: Iterable[Mapping[str, NDArray]], name: str
) -> dict[NowCase, _Face]:
    """The faces with the identity of their person, the array `name`; one without a person is no face."""
    known: dict[str, NDArray] = {}
    for arrays in people:
        if name not in arrays:
            raise FormatError(
                f"the arrays of reconstruct_person lack {name}",
                "what the evaluation asks for",
                ", ".join(arrays),
                "set reconstruct_person.confidence_network, or ask for another identity",
            )
        known.update(zip(arrays["person"].tolist(), arrays[name], strict=True))
    found = {}
    for case, face in faces.items():
        person = str(face.row["person"])
        if face.identity is not None and person not in known:
            row = {**face.row, "status": NOT_RECONSTRUCTED, "reason": f"reconstruct_person has no {person}"}
            found[case] = _Face(row, None, None)
        else:
            found[case] = face if face.identity is None else face._replace(identity=known[person])
    return found


def _faces_of(
    cases: Sequence[NowCase], shards: Iterable[ReconstructedShard]
) -> Iterator[tuple[NowCase, _Face]]:
    """The face of each case that the shards hold; of a picture with several the first."""
    waiting = {case.picture: case for case in cases}
    for shard in shards:
        at = {str(photo): index for index, photo in enumerate(shard.arrays["photo"])}
        for row in shard.table.to_dict("records"):
            case = waiting.pop("/".join(str(row["file"]).split("/")[-3:]), None)
            if case is None:  # another list's picture, or a further face
                continue
            if str(row["status"]) == OK:
                place = at[str(row["photo"])]
                yield case, _Face(row, shard.arrays["identity"][place], shard.arrays["expression"][place])
            else:
                yield case, _Face(row, None, None)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)
