"""How good a network is on images it was not trained on, in figures and in pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facemill.coarse.networks.coarse_network import prediction_of, unknowns_of
from facemill.coarse.networks.confidence_network import AnyNetwork
from facemill.coarse.training.batches import PackedShards, TrainingBatch, batch_from, collate
from facemill.coarse.training.objective import TrainingObjective, network_input
from facemill.coarse.training_settings import TrainSettings
from facemill.geometry.camera import DEEP3D_SIZE
from facemill.geometry.image import resize
from facemill.rendering.rasterize import interpolate

BATCH = 64
LARGE_YAW = math.radians(45)


def validate(
    network: AnyNetwork, objective: TrainingObjective, images: PackedShards, settings: TrainSettings
) -> dict[str, float]:
    """Means over `validation_images` images, spread evenly over the set, without augmentation.

    Returns:
        landmark_error: mean distance of the inner 51, share of the outer-eye distance. Where there are
        labels: shape_rms, mm, the root of the mean `ShapeForm` error, shape_ratio, that to the mean face's,
        and dense_error, px of the 224 crop, of a network with dense landmarks. The same of faces whose true
        yaw is above 45 degrees, where there are any, with `_large_yaw` after the name, and landmark_pixels
        of them, the mean distance in px of the 224 crop: from the side, the eyes are no measure. Empty for
        an empty set.
    """
    rows: dict[str, list[Tensor]] = {}
    for batch in batches_of(images, spread(images, settings.validation_images), network):
        measured = objective.measures(predict_numbers(network, batch), batch)
        measured["large_yaw"] = batch.labelled & (batch.rotation[:, 1].abs() > LARGE_YAW)
        for name, value in measured.items():
            rows.setdefault(name, []).append(value.cpu())
    values = {name: torch.cat(parts) for name, parts in rows.items()}
    large = values.pop("large_yaw", torch.zeros(0, dtype=torch.bool))
    means = _means(values)
    means.pop("landmark_pixels", None)
    if large.any():
        turned = _means({name: value[large] for name, value in values.items()})
        means |= {f"{name}_large_yaw": value for name, value in turned.items()}
    return means


def _means(values: dict[str, Tensor]) -> dict[str, float]:
    means = {name: float(value.nanmean()) for name, value in values.items()}
    shape, mean_face = means.pop("shape_error", np.nan), means.pop("mean_face_error", np.nan)
    if np.isfinite(shape):
        means |= {"shape_rms": shape**0.5, "shape_ratio": (shape / mean_face) ** 0.5}
    return means


def predict_numbers(network: AnyNetwork, batch: TrainingBatch) -> Tensor:
    """The network's numbers for a batch, without gradients."""
    with torch.inference_mode():
        pictures = network_input(batch.crops, network.spec)
        return network(pictures.contiguous(memory_format=torch.channels_last)).float()


def batches_of(images: PackedShards, numbers: list[int], network: AnyNetwork) -> Iterator[TrainingBatch]:
    """Images of a set in batches, on the network's device."""
    device = next(network.parameters()).device
    size = max(1, BATCH // images.group) * images.group
    for begin in range(0, len(numbers), size):
        yield batch_from(collate([images[number] for number in numbers[begin : begin + size]]), device)


def spread(images: PackedShards, most: int) -> list[int]:
    """Numbers of about `most` images at most, evenly over the set; whole groups, and at least one.

    With 10 images and `most` 4: 0, 2, 5, 7.
    """
    groups = len(images) // images.group
    chosen = max(1, min(groups, most // images.group)) if groups else 0
    firsts = [groups * place // chosen * images.group for place in range(chosen)]
    return [first + place for first in firsts for place in range(images.group)]


def draw_faces(
    network: AnyNetwork, objective: TrainingObjective, images: PackedShards, settings: TrainSettings
) -> NDArray[np.uint8]:
    """A sheet of some validation images: a row each with the crop, the render on it, and the bare shape."""
    (batch,) = batches_of(images, spread(images, settings.pictures), network)
    coefficients = unknowns_of(prediction_of(predict_numbers(network, batch), network.spec), network.spec)
    stage = objective.stage
    with torch.no_grad():
        decoded = stage.decoder(coefficients)
        triangles = stage.decoder.model.topology.triangles
        size = (DEEP3D_SIZE, DEEP3D_SIZE)
        fragments = stage.rasterize(decoded, 1)
        facing = decoded.normals[..., 2:].clamp(min=0).expand(-1, -1, 3)
        drawn = interpolate(
            fragments, fragments.barycentrics, torch.cat((decoded.colors, facing), -1), triangles
        )
    sheet = []
    for row in range(len(batch)):
        crop = batch.crops[row].cpu().numpy()
        large = crop if crop.shape[0] == DEEP3D_SIZE else resize(crop, size, "bilinear").image
        mask = fragments.mask[row, :, :, None].cpu().numpy()
        laid = np.where(mask, drawn[row, :, :, :3].cpu().numpy(), large)
        grey = np.where(mask, 0.15 + 0.8 * drawn[row, :, :, 3:].cpu().numpy(), 1.0)
        sheet.append(np.concatenate((large, laid, grey), axis=1))
    return np.rint(255 * np.concatenate(sheet).clip(0, 1)).astype(np.uint8)
