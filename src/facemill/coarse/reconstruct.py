"""The stage `reconstruct_coarse`: coefficients for each face of a shard."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from facemill.coarse.fitting import FitResult, Fitter
from facemill.coarse.landmark_stage import DenseLandmarks
from facemill.coarse.networks.predictor import Predictor, load_predictor
from facemill.coarse.settings import CoarseSettings
from facemill.faces.crop_camera import CAMERA_DISTANCE
from facemill.faces.crops import read_crop, read_mask
from facemill.models.coefficients import Coefficients, neutral_coefficients
from facemill.models.morphable import MorphableModel
from facemill.runtime.errors import ConfigurationError
from facemill.runtime.storage import is_machine_fault
from facemill.runtime.tables import ERROR, OK, EveryPhotoFailedError

FIT_FAILED = "fit_failed"
COLUMNS = ("landmark_error", "photometric_error")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Batch:
    """Rows of the table (B,) with their crops, landmarks and masks."""

    rows: list[int]
    crops: Tensor
    landmarks: Tensor
    masks: Tensor


def reconstruct_coarse(
    table: pd.DataFrame,
    crops_folder: str | Path,
    masks_folder: str | Path,
    model: MorphableModel,
    settings: CoarseSettings,
    device: torch.device | str = "cpu",
    model_name: str = "head",
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Coefficients of each `ok` row of `table`, `settings.batch_size` faces at a time.

    The network, if there is one, predicts; the fit starts from the prediction, or from the mean face; with
    `refine: false` the prediction is the result. Pictures are read batch by batch.

    Nothing is drawn at random: equal input gives equal output on one machine.

    Args:
        table: with `photo`, `status`, `reason` and `landmarks68` (136 numbers, pixels of the crop).
        crops_folder: holds `<photo>.png`, 224 x 224 RGB.
        masks_folder: holds `<photo>.png`, 224 x 224, 8-bit skin probability.
        model_name: what the configuration calls `model`; a network for another one is refused.
    Returns:
        The table, one row per row and in the same order, with `landmark_error` (mean distance of the inner 51
        landmarks, share of the outer-eye distance) and `photometric_error` (mean colour distance, 0..1)
        added; a face that could not be fitted has status `fit_failed` and says why. And arrays of the faces
        that stayed `ok`, in the order of the table: `photo` (N,), one array per field of `Coefficients` and
        `camera_distance` (N,), millimetres, float32.
    Raises:
        ConfigurationError: neither network nor fit.
        EveryPhotoFailedError: at least one picture should have been there and none could be read.
    """
    if not (settings.network or settings.refine):
        raise ConfigurationError(
            "reconstruct_coarse.refine: false leaves nothing to do",
            "the weights of a network",
            f"none, and none ship for the model {model_name}",
            "set reconstruct_coarse.network, or refine: true",
        )
    table = table.reset_index(drop=True)
    for column in COLUMNS:
        table[column] = np.full(len(table), np.nan)
    model = model.to(device)
    predictor = load_predictor(settings.network, model, model_name) if settings.network else None
    spec = () if predictor is None else (predictor.spec.dense_vertices, predictor.spec.camera_distance)
    fitter = Fitter(model, settings, *spec)
    found: list[tuple[int, Coefficients]] = []
    waiting = [row for row in range(len(table)) if table.at[row, "status"] == OK]
    done = 0
    for batch in _batches(table, waiting, crops_folder, masks_folder, settings.batch_size):
        result = _reconstruct(fitter, predictor, batch)
        found += _record(table, batch.rows, result, settings)
        done += len(batch.rows)
        logger.info("%d of %d faces done", done, len(waiting))
    if waiting and all(table.at[row, "status"] == ERROR for row in waiting):
        raise EveryPhotoFailedError(
            f"all {len(waiting)} photos of the shard failed; last reason: {table.at[waiting[-1], 'reason']!s}"
        )
    arrays = _arrays(table, found, model)
    return table, {**arrays, CAMERA_DISTANCE: np.full(len(found), fitter.camera_distance, np.float32)}


def _reconstruct(fitter: Fitter, predictor: Predictor | None, batch: _Batch) -> FitResult:
    if predictor is None:
        return fitter(batch.crops, batch.landmarks, batch.masks)
    predicted = predictor(batch.crops)
    if not fitter.settings.refine:
        return fitter.judge(predicted.coefficients, batch.crops, batch.landmarks, batch.masks)
    dense = (
        DenseLandmarks(predicted.dense, predicted.dense_deviation) if predictor.spec.dense_vertices else None
    )
    return fitter(batch.crops, batch.landmarks, batch.masks, predicted.coefficients, dense)


def _batches(
    table: pd.DataFrame, waiting: list[int], crops_folder: str | Path, masks_folder: str | Path, size: int
) -> Iterator[_Batch]:
    """Read the pictures of `size` rows at a time; rows with unusable pictures or landmarks get a status."""
    for begin in range(0, len(waiting), size):
        rows: list[int] = []
        crops: list[Tensor] = []
        landmarks: list[Tensor] = []
        masks: list[Tensor] = []
        for row in waiting[begin : begin + size]:
            points = _landmarks_of(table.at[row, "landmarks68"])
            if points is None:
                _fail(table, row, "its row holds no 68 finite landmarks")
                continue
            photo = str(table.at[row, "photo"])
            try:
                crop, mask = read_crop(crops_folder, photo), read_mask(masks_folder, photo)
            except Exception as error:  # a photo must not end the shard: it ends as a row
                if is_machine_fault(error):
                    raise
                logger.error("%s: %s", photo, traceback.format_exc())
                table.at[row, "status"], table.at[row, "reason"] = ERROR, f"{type(error).__name__}: {error}"
                continue
            rows.append(row)
            crops.append(crop)
            landmarks.append(points)
            masks.append(mask)
        if rows:
            yield _Batch(rows, torch.stack(crops), torch.stack(landmarks), torch.stack(masks))


def _landmarks_of(numbers: Any) -> Tensor | None:
    values = np.asarray(numbers if numbers is not None else [], dtype=np.float64)
    if values.shape != (136,) or not np.isfinite(values).all():
        return None
    return torch.from_numpy(values.reshape(68, 2).copy())


def _record(
    table: pd.DataFrame, rows: list[int], result: FitResult, settings: CoarseSettings
) -> list[tuple[int, Coefficients]]:
    """Write errors and statuses of a batch into `table`; return the faces that were fitted."""
    fitted = []
    for index, row in enumerate(rows):
        coefficients = result.coefficients.select(slice(index, index + 1))
        values = torch.cat([getattr(coefficients, field.name) for field in fields(coefficients)], dim=1)
        landmark_error = float(result.landmark_error[index])
        photometric_error = float(result.photometric_error[index])
        if not (bool(values.isfinite().all()) and np.isfinite([landmark_error, photometric_error]).all()):
            _fail(table, row, "the fit did not stay finite")
            continue
        table.at[row, "landmark_error"] = landmark_error
        table.at[row, "photometric_error"] = photometric_error
        if landmark_error > settings.largest_landmark_error:
            _fail(
                table,
                row,
                f"landmark error {landmark_error:.3f} is above {settings.largest_landmark_error}: "
                "the landmarks are not those of a face the model can show",
            )
            continue
        fitted.append((row, coefficients.to(device="cpu", dtype=torch.float32)))
    return fitted


def _fail(table: pd.DataFrame, row: int, reason: str) -> None:
    table.at[row, "status"], table.at[row, "reason"] = FIT_FAILED, reason


def _arrays(
    table: pd.DataFrame, found: list[tuple[int, Coefficients]], model: MorphableModel
) -> dict[str, np.ndarray]:
    nothing = neutral_coefficients(model, 0)
    arrays = {"photo": np.array([table.at[row, "photo"] for row, _ in found], dtype=str)}
    for field in fields(Coefficients):
        parts = [getattr(nothing, field.name), *(getattr(each, field.name) for _, each in found)]
        arrays[field.name] = torch.cat([part.cpu() for part in parts]).numpy()
    return arrays
