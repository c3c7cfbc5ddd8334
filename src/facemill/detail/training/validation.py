"""How good a detail network is on faces it was not trained on, in figures and in pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facemill.detail.coarse_maps import CoarseMaps
from facemill.detail.losses.supervised import known_slopes
from facemill.detail.networks.detail_network import DetailNetwork
from facemill.detail.networks.files import AnyDetailNetwork
from facemill.detail.prediction import Detail, detail_of, predict
from facemill.detail.surface import displaced_normals
from facemill.detail.training.batches import DetailBatch, PackedFaces, batch_from, collate
from facemill.detail.training.objective import DetailObjective

BATCH = 4
VISIBLE = 0.2  # evidence from which texels are scored
SPANS = (0.05, 0.1, 0.2, 0.3, 0.5)  # of gained certainty, to choose from
TOLERATED = 1.002  # of the least error: a wide span leaves no hard border where relief fades
# Of what is claimed blindly. Far above it are a few places whose prior is too wide for all faces: a floor
# that silences them, too, silences every photo that is unlike those of the training.
BLIND_QUANTILE = 0.75
LIGHT = (-0.45, 0.45, 0.77)  # of the pictures, towards the light, head frame


def validate(
    network: AnyDetailNetwork, objective: DetailObjective, faces: PackedFaces, count: int
) -> dict[str, float]:
    """Means over `count` faces, spread evenly over the set, without augmentation.

    Returns:
        loss: of the objective. Where displacement is known, over the visible texels of the mask:
        displacement_error (mm) and displacement_ratio, to that of the coarse surface (the mean size of the
        displacement); normal_error (degrees) and normal_ratio; confidence, its mean over the mask. Empty
        for an empty set.
    """
    sums: dict[str, list[float]] = {}
    for batch in batches_of(faces, spread(faces, count), network):
        scene = objective.scene(batch)
        with torch.inference_mode():
            output = objective.output(network, scene.inputs)
            loss = objective.loss(output, scene.maps, batch)
            found = detail_of(network, output, batch.weight, objective.atlas.mask)
        parts = _errors(found, scene.maps, batch, objective)
        parts["loss"] = [float(loss.loss) * len(batch), len(batch)]
        for name, values in parts.items():
            before = sums.setdefault(name, [0.0] * len(values))
            sums[name] = [a + b for a, b in zip(before, values, strict=True)]
    means = {name: total / max(weight, 1e-12) for name, (total, weight, *_) in sums.items()}
    if sums.get("displacement_error", [0, 0])[1] > 0:
        for name in ("displacement", "normal"):
            total, _, coarse = sums[f"{name}_error"]
            means[f"{name}_ratio"] = total / max(coarse, 1e-12)
    else:
        for name in ("displacement_error", "normal_error"):
            means.pop(name, None)
    return means


def _errors(
    found: Detail, maps: CoarseMaps, batch: DetailBatch, objective: DetailObjective
) -> dict[str, list[float]]:
    """name -> sum, weight and sum of the coarse surface's."""
    mask = objective.atlas.mask
    seen = batch.known & (batch.weight > VISIBLE) & (mask > 0) & batch.labelled[:, None, None]
    target = objective.target(batch)
    slopes = seen & known_slopes(batch.known)
    with torch.inference_mode():
        true = displaced_normals(target, maps.positions, maps.normals)
        own = displaced_normals(found.displacement, maps.positions, maps.normals)
        fine, coarse = degrees_between(own, true), degrees_between(maps.normals, true)
    distance = (found.displacement - target).abs()
    inside = (mask > 0).expand_as(seen)
    return {
        "displacement_error": _sums(seen, distance, target.abs()),
        "normal_error": _sums(slopes, fine, coarse),
        "confidence": _sums(inside, found.confidence),
    }


def _sums(chosen: Tensor, *values: Tensor) -> list[float]:
    first, *rest = (float(value[chosen].double().sum()) for value in values)
    return [first, float(chosen.sum()), *rest]


def degrees_between(first: Tensor, second: Tensor) -> Tensor:
    """Angles of unit vectors, (..., 3) and (..., 3) -> (...), exact for small ones."""
    return torch.rad2deg(2 * torch.asin(((first - second).norm(dim=-1) / 2).clamp(max=1)))


def calibrate(
    network: AnyDetailNetwork, objective: DetailObjective, faces: PackedFaces, count: int
) -> dict[str, float]:
    """Set how the network's scales become confidence, in place: `floor` and `span`.

    `floor` is what the network claims to have gained where it sees nothing at all (the coarse render in place
    of the photo; a quantile over the mask of `count` faces). `span` is the widest of `SPANS` whose error of
    displacement, where it is known, is nearly the least; where none is known, it stays as it is.

    Returns:
        floor and span; nothing for networks without scales.
    """
    if not isinstance(network, DetailNetwork):
        return {}
    blind, errors, usual, known = [], np.zeros(len(SPANS)), float(network.span), 0
    numbers = spread(faces, count)
    mask = objective.atlas.mask
    network.floor.fill_(0.0)
    network.span.fill_(1.0)
    for batch in batches_of(faces, numbers, network):
        nothing = replace(batch, weight=torch.zeros_like(batch.weight))
        with torch.inference_mode():
            output = objective.output(network, objective.scene(nothing).inputs)
            blind.append(network.confidence_of(output)[:, mask > 0.5].flatten()[::16].cpu())
    floor = min(0.9, float(np.quantile(torch.cat(blind).numpy(), BLIND_QUANTILE)))  # torch's has a limit
    network.floor.fill_(floor)
    for batch in batches_of(faces, numbers, network):
        seen = batch.known & (batch.weight > VISIBLE) & (mask > 0)
        known += int(seen.sum())
        target = objective.target(batch)
        with torch.inference_mode():
            output = objective.output(network, objective.scene(batch).inputs)
            for place, span in enumerate(SPANS):
                network.span.fill_(span)
                found = detail_of(network, output, batch.weight, mask)
                errors[place] += float((found.displacement - target).abs()[seen].sum())
    good = [span for span, error in zip(SPANS, errors, strict=True) if error <= TOLERATED * errors.min()]
    network.span.fill_(max(good) if known else usual)
    return {"floor": float(network.floor), "span": float(network.span)}


def batches_of(faces: PackedFaces, numbers: list[int], network: AnyDetailNetwork) -> Iterator[DetailBatch]:
    """Faces of a set in batches, on the network's device."""
    device = next(network.parameters()).device
    for begin in range(0, len(numbers), BATCH):
        yield batch_from(collate([faces[number] for number in numbers[begin : begin + BATCH]]), device)


def spread(faces: PackedFaces, most: int) -> list[int]:
    """Numbers of at most `most` faces, evenly over the set: of 10 and 4, 0, 2, 5, 7."""
    chosen = min(len(faces), most)
    return [len(faces) * place // chosen for place in range(chosen)]


def draw_faces(
    network: AnyDetailNetwork, objective: DetailObjective, faces: PackedFaces, count: int
) -> NDArray[np.uint8]:
    """A sheet of some faces in the atlas, a row each: photo, true and found relief, confidence."""
    rows = []
    for batch in batches_of(faces, spread(faces, count), network):
        scene = objective.scene(batch)
        found = predict(network, scene.inputs, batch.weight, objective.atlas.mask)
        reliefs = [
            _relief(displacement, scene.maps)
            for displacement in (objective.target(batch), found.displacement)
        ]
        photo = torch.where((batch.weight > 0)[..., None], batch.colours, torch.ones_like(batch.colours))
        panels = (photo, *reliefs, found.confidence[..., None].expand_as(photo))
        rows += list(torch.cat(panels, dim=2).cpu())
    return np.rint(255 * torch.cat(rows).numpy().clip(0, 1)).astype(np.uint8)


def _relief(displacement: Tensor, maps: CoarseMaps) -> Tensor:
    """(B, h, w, 3) grey pictures of the displaced surface under one light, white beside the face."""
    normals = displaced_normals(displacement, maps.positions, maps.normals)
    light = torch.tensor(LIGHT, device=normals.device) / math.sqrt(sum(value * value for value in LIGHT))
    shaded = 0.15 + 0.85 * (normals @ light).clamp(min=0)
    shaded = torch.where(maps.normals.abs().sum(-1) > 0, shaded, torch.ones_like(shaded))
    return shaded[..., None].expand(-1, -1, -1, 3)
