"""The stage `group_people`: which photos of a person are used, how they are turned, and their tuples."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from facemill.coarse.grouping_settings import GroupSettings
from facemill.coarse.image_sets.duplicates import find_duplicates
from facemill.coarse.image_sets.likeness import describe_faces, find_majority
from facemill.coarse.image_sets.tuples import View, ViewTuple, form_tuples
from facemill.coarse.image_sets.view_overlap import FaceView, overlap_of, view_face
from facemill.coarse.networks.identity_network import IdentityNetwork
from facemill.faces.crop_camera import crop_camera
from facemill.faces.crops import read_crop
from facemill.faces.decode import FaceDecoder
from facemill.geometry.rotation import head_angles_degrees, matrix_from_euler_deep3d
from facemill.models.coefficients import Coefficients
from facemill.models.morphable import MorphableModel
from facemill.runtime.tables import OK

ANGLES = ("yaw", "pitch", "roll")
NO_PERSON, DUPLICATE, OTHER_PERSON = "no_person", "duplicate", "other_person"
TUPLE_COLUMNS = {
    "person": str,
    "sitting": str,
    "source1": str,
    "target": str,
    "source2": str,
    "yaw_source1": float,
    "yaw_target": float,
    "yaw_source2": float,
    "overlap": float,
    "flag": int,
    "reason": str,
}

logger = logging.getLogger(__name__)


def group_people(
    table: pd.DataFrame,
    arrays: Mapping[str, NDArray],
    crops_folder: str | Path,
    model: MorphableModel,
    network: IdentityNetwork,
    settings: GroupSettings,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Say of each photo of a shard whether it is used for its person, and form tuples of those that are.

    Args:
        table: of `reconstruct_coarse`, with `person` and `sitting`.
        arrays: of the same shard.
        crops_folder: holds `<photo>.png`, 224 x 224 RGB.
    Returns:
        The table, same rows and order, with `yaw`, `pitch`, `roll` (degrees, `head_angles_degrees`; NaN
        without a face), `likeness` (mean cosine of the descriptor with those of the other photos that are
        taken for the person's), `other_person` (bool), `used` (bool), `left_out` (the photo's own status,
        `no_person`, `duplicate` or `other_person`; empty when used) and `left_out_reason`. And the tuples:
        see `TUPLE_COLUMNS`; a person without a usable photo has a row without photos.
    Raises:
        FormatError: a crop is missing or is none.
    """
    table = table.reset_index(drop=True)
    coefficients = Coefficients(
        **{field.name: torch.from_numpy(np.asarray(arrays[field.name])) for field in fields(Coefficients)}
    )
    rotations = matrix_from_euler_deep3d(coefficients.rotation.double())
    place = {str(photo): row for row, photo in enumerate(arrays["photo"])}
    faces = np.array([place.get(str(photo), -1) for photo in table["photo"]], dtype=np.int64)
    _add_angles(table, faces, rotations)
    _add_defaults(table)
    overlaps = _Overlaps(FaceDecoder(model, crop_camera(arrays)), coefficients, place)
    tuples: list[dict[str, Any]] = []
    for person in dict.fromkeys(name for name in table["person"] if name):
        rows = [row for row in table.index[table["person"] == person] if table.at[row, "left_out"] == ""]
        crops = [read_crop(crops_folder, str(table.at[row, "photo"])) for row in rows]
        originals = _leave_out_duplicates(table, rows, crops, settings)
        _leave_out_others(table, person, originals, network, settings)
        views = [_view(table, row, rotations[faces[row]]) for row in rows if table.at[row, "used"]]
        found = form_tuples(views, overlaps, settings)
        overlaps.forget()
        tuples += [_tuple_row(person, each) for each in found]
    logger.info("%d of %d photos are used, in %d tuples", table["used"].sum(), len(table), len(tuples))
    return table, pd.DataFrame(tuples, columns=list(TUPLE_COLUMNS)).astype(TUPLE_COLUMNS)


class _Overlaps:
    """How much of the first view's face the second sees; each face is drawn once per person.

    Args:
        place: photo → its row of `coefficients`.
    """

    def __init__(self, decoder: FaceDecoder, coefficients: Coefficients, place: Mapping[str, int]) -> None:
        self.decoder, self.coefficients, self.place = decoder, coefficients, place
        self.seen: dict[str, FaceView] = {}

    def __call__(self, target: View, source: View) -> float:
        topology = self.decoder.model.topology
        return overlap_of(
            self._view(target), self._view(source), topology.triangles, topology.regions["face"]
        )

    def forget(self) -> None:
        """Free what was drawn."""
        self.seen.clear()

    def _view(self, view: View) -> FaceView:
        if view.photo not in self.seen:
            row = self.place[view.photo]
            self.seen[view.photo] = view_face(self.decoder, self.coefficients.select(slice(row, row + 1)))
        return self.seen[view.photo]


def _add_angles(table: pd.DataFrame, faces: NDArray[np.int64], rotations: Tensor) -> None:
    angles = np.full((len(table), 3), np.nan)
    known = faces >= 0
    if known.any():
        angles[known] = head_angles_degrees(rotations).numpy()[faces[known]]
    for column, values in zip(ANGLES, angles.T, strict=True):
        table[column] = values


def _add_defaults(table: pd.DataFrame) -> None:
    """Photos are used unless they failed or are nobody's."""
    table["likeness"] = np.full(len(table), np.nan)
    table["other_person"] = np.zeros(len(table), bool)
    failed = table["status"] != OK
    strangers = ~failed & (table["person"] == "")
    table["used"] = ~failed & ~strangers
    left_out, reason = table["status"].where(failed, ""), table["reason"].where(failed, "")
    table["left_out"] = left_out.mask(strangers, NO_PERSON)
    table["left_out_reason"] = reason.mask(strangers, "the photo lies in the folder of no person")


def _leave_out(table: pd.DataFrame, row: int, code: str, reason: str) -> None:
    table.at[row, "used"], table.at[row, "left_out"], table.at[row, "left_out_reason"] = False, code, reason


def _leave_out_duplicates(
    table: pd.DataFrame, rows: list[int], crops: list[Tensor], settings: GroupSettings
) -> list[tuple[int, Tensor]]:
    """Rows and crops of the photos that are no copies."""
    originals = []
    copies = find_duplicates(crops, settings.duplicate_distance)
    for row, crop, copied in zip(rows, crops, copies, strict=True):
        if copied is None:
            originals.append((row, crop))
        else:
            same = f"the same picture as {table.at[rows[copied], 'photo']!s}, which stands for both"
            _leave_out(table, row, DUPLICATE, same)
    return originals


def _leave_out_others(
    table: pd.DataFrame,
    person: str,
    originals: list[tuple[int, Tensor]],
    network: IdentityNetwork,
    settings: GroupSettings,
) -> None:
    """Mark the photos that do not show whom most of a person's photos show, and leave them out."""
    points = [
        torch.from_numpy(np.asarray(table.at[row, "landmarks68"], dtype=np.float64).reshape(68, 2).copy())
        for row, _ in originals
    ]
    descriptors = describe_faces(network, [crop for _, crop in originals], points)
    majority = find_majority(descriptors, settings.least_likeness)
    for (row, _), member, likeness in zip(originals, majority.members, majority.likeness, strict=True):
        table.at[row, "likeness"] = likeness
        if not member:
            table.at[row, "other_person"] = True
            reason = _why_other(
                table, originals, majority.members, majority.groups, float(likeness), settings
            )
            logger.warning("%s: %s: %s", person, table.at[row, "photo"], reason)
            if settings.other_person == "leave_out":
                _leave_out(table, row, OTHER_PERSON, reason)


def _why_other(
    table: pd.DataFrame,
    originals: list[tuple[int, Tensor]],
    members: NDArray[np.bool_],
    groups: list[int],
    likeness: float,
    settings: GroupSettings,
) -> str:
    kept = [
        str(table.at[row, "photo"]) for (row, _), member in zip(originals, members, strict=True) if member
    ]
    words = kept[0] if len(kept) == 1 else f"the {len(kept)} photos that most resemble one another"
    reason = (
        f"looks like another person than {words} (likeness {likeness:.3f}, {settings.least_likeness} asked)"
    )
    if groups.count(groups[0]) > 1:
        reason += "; there is no majority: which photos show the person is a guess"
    return reason


def _view(table: pd.DataFrame, row: int, rotation: Tensor) -> View:
    cells: Any = table.loc[row, ["photo", "sitting", "yaw", "landmark_score"]]
    photo, sitting, yaw, score = cells
    return View(str(photo), str(sitting), float(yaw), rotation.numpy(), float(score))


def _tuple_row(person: str, found: ViewTuple) -> dict[str, Any]:
    row: dict[str, Any] = {"person": person, "sitting": found.sitting}
    for role in ("source1", "target", "source2"):
        view = getattr(found, role)
        row[role] = "" if view is None else view.photo
        row[f"yaw_{role}"] = np.nan if view is None else view.yaw
    return {**row, "overlap": found.overlap, "flag": found.flag, "reason": found.reason}
