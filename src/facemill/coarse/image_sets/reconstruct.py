"""The stage `reconstruct_person`: one identity and one albedo for all photos of each person of a shard."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from facemill.coarse.fitting import FitResult, Fitter
from facemill.coarse.image_sets.aggregate import Baseline, photo_weights, weighted_mean
from facemill.coarse.image_sets.choice import choose_photos
from facemill.coarse.image_sets.consistency import neutral_faces, spread
from facemill.coarse.image_sets.person_fit import PersonFitter
from facemill.coarse.image_sets.person_settings import PersonSettings
from facemill.coarse.networks.confidence_network import ConfidencePredictor, load_confidence
from facemill.coarse.networks.files import load_network
from facemill.coarse.networks.predictor import load_predictor
from facemill.coarse.settings import CoarseSettings
from facemill.faces.crop_camera import CAMERA_DISTANCE
from facemill.faces.crops import read_crop, read_mask
from facemill.models.coefficients import Coefficients
from facemill.models.morphable import MorphableModel
from facemill.runtime.digests import file_digest
from facemill.runtime.errors import ConfigurationError, FormatError
from facemill.runtime.storage import is_machine_fault
from facemill.runtime.tables import ERROR, OK, EveryPhotoFailedError

PHOTO_COLUMNS = ("weight", "person_landmark_error", "person_photometric_error")
PEOPLE_COLUMNS = {
    "person": str,
    "status": str,
    "reason": str,
    "photos": int,
    "used": int,
    "start": str,
    "spread": float,
    "landmark_error": float,
    "landmark_error_single": float,
    "photometric_error": float,
    "photometric_error_single": float,
}
NO_USABLE_PHOTO, FIT_FAILED, TOO_MANY = "no_usable_photo", "fit_failed", "too_many"
BASELINES: tuple[Baseline, ...] = ("mean", "best", "landmarks")
FIELDS = tuple(field.name for field in fields(Coefficients))

#: From crops (N, 224, 224, 3) to confidences above 0 of their identities (N, K) and albedos (N, A).
Confidence = Callable[[Tensor], tuple[Tensor, Tensor]]

logger = logging.getLogger(__name__)


class ReconstructedPeople(NamedTuple):
    """photos: a row per photo; people: a row per person; arrays: see docs/reconstruct_person.md."""

    photos: pd.DataFrame
    people: pd.DataFrame
    arrays: dict[str, NDArray]


@dataclass(frozen=True)
class _Tools:
    """What all people of a shard share, prepared once."""

    model: MorphableModel
    fitter: Fitter
    person_fitter: PersonFitter
    confidence: Confidence | None
    settings: PersonSettings


class _Person(NamedTuple):
    """What was found: rows of the table, their weights (N,) or (N, K), the starts by name, and the fit."""

    rows: list[int]
    weights: NDArray[np.float64]
    starts: dict[str, Start]
    spread: float
    result: FitResult
    camera_distance: float


def reconstruct_person(
    table: pd.DataFrame,
    arrays: Mapping[str, NDArray],
    crops_folder: str | Path,
    masks_folder: str | Path,
    model: MorphableModel,
    settings: PersonSettings,
    coarse: CoarseSettings,
    device: torch.device | str = "cpu",
    model_name: str = "head",
    confidence: Confidence | None = None,
) -> ReconstructedPeople:
    """Fit each person of a shard to all photos that `group_people` says are used.

    The identity begins as `settings.start` says, every photo's pose and expression as its own reconstruction
    has them; identity and albedo are common, everything else is each photo's. Nothing is drawn at random. A
    person that cannot be fitted is a row that says why, and the others go on.

    Args:
        table: of `group_people`.
        arrays: of `reconstruct_coarse`: its single-photo coefficients.
        crops_folder, masks_folder: hold `<photo>.png`, as for `reconstruct_coarse`.
        coarse: settings of `reconstruct_coarse`: network, weights and landmarks of the joint fit.
        confidence: how much each photo is worth; None: `settings.confidence_network` says it, if given.
    Raises:
        ConfigurationError: `start: network` without a confidence network, or such a network without the one
            of `coarse` that it belongs to.
        FormatError: `arrays` lack a used photo.
        EveryPhotoFailedError: at least one person was tried and each met an unforeseen exception.
    """
    confidence = confidence or _load_confidence(settings, coarse, model, model_name)
    if settings.start == "network" and confidence is None:
        raise ConfigurationError(
            "reconstruct_person.start: network",
            "the weights of a confidence network",
            "none",
            "set reconstruct_person.confidence_network to what train_image_set wrote, or another start",
        )
    photos = table.reset_index(drop=True)
    for column in PHOTO_COLUMNS:
        photos[column] = np.full(len(photos), np.nan)
    model = model.to(device)
    predictor = load_predictor(coarse.network, model, model_name) if coarse.network else None
    # Without a joint fit the camera is that of the single photos.
    fitting = coarse.model_copy(update={"refine": True}) if settings.refine else coarse
    spec = () if predictor is None else (predictor.spec.dense_vertices, predictor.spec.camera_distance)
    fitter = Fitter(model, fitting, *spec)
    tools = _Tools(model, fitter, PersonFitter(fitter, settings, predictor), confidence, settings)
    place = {str(photo): row for row, photo in enumerate(arrays["photo"])}
    _check_photos(photos, place)
    found: dict[str, _Person] = {}
    people: list[dict[str, Any]] = []
    for name in dict.fromkeys(str(person) for person in photos["person"] if person):
        row = _empty_row(name, photos, settings)
        try:
            person = _reconstruct(name, photos, arrays, place, (crops_folder, masks_folder), tools)
            row |= _record(photos, person, row)
            if row["status"] == OK and person is not None:
                found[name] = person
        except Exception as error:  # a person must not end the shard: it ends as a row
            if is_machine_fault(error):
                raise
            logger.error("%s: %s", name, traceback.format_exc())
            row |= {"status": ERROR, "reason": f"{type(error).__name__}: {error}"}
        people.append(row)
        logger.info("%s: %s, %d of %d photos", name, row["status"], row["used"], row["photos"])
    tried = [row for row in people if row["status"] != NO_USABLE_PHOTO]
    if tried and all(row["status"] == ERROR for row in tried):
        raise EveryPhotoFailedError(
            f"all {len(tried)} people of the shard failed; last reason: {tried[-1]['reason']}"
        )
    listed = pd.DataFrame(people, columns=list(PEOPLE_COLUMNS)).astype(PEOPLE_COLUMNS)
    return ReconstructedPeople(photos, listed, _arrays(photos, found, model, confidence is not None))


def _load_confidence(
    settings: PersonSettings, coarse: CoarseSettings, model: MorphableModel, model_name: str
) -> Confidence | None:
    if not settings.confidence_network:
        return None
    if not coarse.network:
        raise ConfigurationError(
            "reconstruct_person.confidence_network",
            "the network whose features it reads, in reconstruct_coarse.network",
            "no network",
            "set reconstruct_coarse.network, or leave out reconstruct_person.confidence_network",
        )
    network = load_network(coarse.network, model, model_name)
    digest = file_digest([coarse.network])
    return ConfidencePredictor(network, load_confidence(settings.confidence_network, network, digest))


def _reconstruct(
    name: str,
    photos: pd.DataFrame,
    arrays: Mapping[str, NDArray],
    place: Mapping[str, int],
    folders: tuple[str | Path, str | Path],
    tools: _Tools,
) -> _Person | None:
    """One person; None when no photo is left. Photos that cannot be read or are too many are left out."""
    rows = _readable_rows(photos, name, folders)
    angles = photos.loc[rows, ["pitch", "yaw"]].to_numpy(dtype=np.float64)
    if len(rows) > tools.settings.most_photos:
        worth = photos.loc[rows, "landmark_score"].to_numpy(dtype=np.float64) * _frontality(angles)
        kept = choose_photos(np.nan_to_num(worth), angles, tools.settings.most_photos)
        reason = f"{name} has more than {tools.settings.most_photos} photos: better ones were chosen"
        for each in sorted(set(range(len(rows))) - set(kept.tolist())):
            _leave_out(photos, rows[each], TOO_MANY, reason)
        rows, angles = [rows[each] for each in kept], angles[kept]
    if not rows:
        return None
    names = [str(photos.at[row, "photo"]) for row in rows]
    index = [place[photo] for photo in names]
    single = Coefficients(**{field: torch.from_numpy(np.asarray(arrays[field])[index]) for field in FIELDS})
    crops = torch.stack([read_crop(folders[0], photo) for photo in names])
    masks = torch.stack([read_mask(folders[1], photo) for photo in names])
    landmarks = torch.from_numpy(np.stack(photos.loc[rows, "landmarks68"].to_list()).reshape(-1, 68, 2))
    evidence = tools.person_fitter.look_at(crops, masks, landmarks)
    known = photos.loc[rows, ["landmark_score", "landmark_error"]].assign(
        frontality=_frontality(angles), dense_deviation=evidence.dense_deviation
    )
    starts: dict[str, Start] = {kind: _start(single, photo_weights(kind, known)) for kind in BASELINES}
    if tools.confidence is not None:
        shares = [value.double().cpu().numpy() for value in tools.confidence(crops)]
        starts["network"] = _start(single, *shares)
    start = starts[tools.settings.start]
    distance = float(np.asarray(arrays[CAMERA_DISTANCE])[index[0]])
    if tools.settings.refine:
        result = tools.person_fitter(evidence, single, start.identity, start.albedo, distance)
        distance = tools.fitter.camera_distance
    else:
        result = tools.person_fitter.judge(evidence, single, start.identity, start.albedo)
    apart = spread(neutral_faces(tools.model, single.identity.numpy()))
    return _Person(rows, start.weights, starts, apart, result, distance)


class Start(NamedTuple):
    """Where a person begins: identity (K,), albedo (A,) and the weights (N,) or (N, K) of the identity."""

    identity: NDArray[np.float64]
    albedo: NDArray[np.float64]
    weights: NDArray[np.float64]


def _start(single: Coefficients, weights: NDArray, albedo_weights: NDArray | None = None) -> Start:
    shares = weights if albedo_weights is None else albedo_weights
    return Start(
        weighted_mean(single.identity.numpy(), weights), weighted_mean(single.albedo.numpy(), shares), weights
    )


def _readable_rows(photos: pd.DataFrame, name: str, folders: tuple[str | Path, str | Path]) -> list[int]:
    rows = []
    for row in photos.index[(photos["person"] == name) & photos["used"].astype(bool)]:
        photo = str(photos.at[row, "photo"])
        try:
            read_crop(folders[0], photo)
            read_mask(folders[1], photo)
        except FormatError as error:
            if is_machine_fault(error):
                raise
            _leave_out(photos, row, ERROR, error.sentence)
        else:
            rows.append(int(row))
    return rows


def _record(photos: pd.DataFrame, person: _Person | None, row: dict[str, Any]) -> dict[str, Any]:
    """Write the errors of a person's photos into `photos`; what the person's row says."""
    if person is None:
        left = photos.loc[photos["person"] == row["person"], ["photo", "left_out"]]
        words = ", ".join(f"{photo} ({code})" for photo, code in left.itertuples(index=False))
        return {"status": NO_USABLE_PHOTO, "reason": f"none of its photos can be used: {words}"}
    result, rows = person.result, person.rows
    values = torch.cat([getattr(result.coefficients, field) for field in FIELDS], dim=1)
    errors = torch.stack([result.landmark_error, result.photometric_error])
    if not bool(values.isfinite().all() and errors.isfinite().all()):
        return {"status": FIT_FAILED, "reason": "the joint fit did not stay finite", "used": len(rows)}
    weights = person.weights if person.weights.ndim == 1 else person.weights.mean(axis=1)
    photos.loc[rows, "weight"] = weights / weights.sum()
    photos.loc[rows, "person_landmark_error"] = result.landmark_error.double().cpu().numpy()
    photos.loc[rows, "person_photometric_error"] = result.photometric_error.double().cpu().numpy()
    return {
        "used": len(rows),
        "spread": person.spread,
        "landmark_error": float(result.landmark_error.mean()),
        "landmark_error_single": float(photos.loc[rows, "landmark_error"].mean()),
        "photometric_error": float(result.photometric_error.mean()),
        "photometric_error_single": float(photos.loc[rows, "photometric_error"].mean()),
    }


def _arrays(
    photos: pd.DataFrame, found: Mapping[str, _Person], model: MorphableModel, with_network: bool
) -> dict[str, NDArray]:
    """The arrays of docs/reconstruct_person.md; with no person they have no rows."""
    kinds = (*BASELINES, "network") if with_network else BASELINES
    people = list(found.values())
    firsts = [person.result.coefficients.select(slice(0, 1)).to("cpu", torch.float32) for person in people]
    faces = [person.result.coefficients.to("cpu", torch.float32) for person in people]
    widths = {"identity": model.identity_count, "albedo": model.albedo_count}
    widths |= {"expression": model.expression_count, "rotation": 3, "translation": 3, "lighting": 27}

    def stacked(name: str, parts: list[Coefficients]) -> NDArray:
        empty = torch.zeros(0, widths[name])
        return torch.cat([empty, *(getattr(part, name) for part in parts)]).numpy()

    starts = {
        f"start_{kind}": np.array(
            [person.starts[kind].identity for person in people], dtype=np.float32
        ).reshape(len(people), model.identity_count)
        for kind in kinds
    }
    rows = [row for person in people for row in person.rows]
    counts = [len(person.rows) for person in people]
    shared = ("identity", "albedo")
    return {
        "person": np.array(list(found), dtype=str),
        **{name: stacked(name, firsts) for name in shared},
        **starts,
        "photo": np.array([photos.at[row, "photo"] for row in rows], dtype=str),
        "person_row": np.repeat(np.arange(len(people)), counts),
        **{name: stacked(name, faces) for name in FIELDS if name not in shared},
        CAMERA_DISTANCE: np.repeat(
            np.array([person.camera_distance for person in people], dtype=np.float32), counts
        ),
        "confidence": photos.loc[rows, "weight"].to_numpy(dtype=np.float32),
    }


def _empty_row(name: str, photos: pd.DataFrame, settings: PersonSettings) -> dict[str, Any]:
    row: dict[str, Any] = {
        column: np.nan if kind is float else kind() for column, kind in PEOPLE_COLUMNS.items()
    }
    count = int((photos["person"] == name).sum())
    return row | {"person": name, "status": OK, "photos": count, "start": settings.start}


def _check_photos(photos: pd.DataFrame, place: Mapping[str, int]) -> None:
    missing = [str(photo) for photo in photos.loc[photos["used"].astype(bool), "photo"] if photo not in place]
    if missing:
        raise FormatError(
            f"the arrays of reconstruct_coarse lack {len(missing)} used photos, first {missing[0]}",
            "a row per used photo",
            f"{len(place)} rows",
            "table and arrays are of different runs: run group_people again",
        )


def _frontality(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) cosine between the line of sight and where the face points; angles (N, 2) degrees."""
    return np.asarray(np.cos(np.deg2rad(angles)).prod(axis=1))


def _leave_out(photos: pd.DataFrame, row: int, code: str, reason: str) -> None:
    photos.at[row, "used"] = False
    photos.at[row, "left_out"], photos.at[row, "left_out_reason"] = code, reason
