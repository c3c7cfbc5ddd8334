"""The loss of a batch of faces: with labels, without labels, or as published."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from facemill.detail.atlas import DetailAtlas
from facemill.detail.coarse_maps import CoarseMaps, coarse_maps
from facemill.detail.inputs import network_inputs
from facemill.detail.local_mean import local_mean
from facemill.detail.losses.published import capped_square, uv_variation
from facemill.detail.losses.shading import shading_distance
from facemill.detail.losses.supervised import (
    displacement_distance,
    known_slopes,
    laplace_surprise,
    slope_distance,
)
from facemill.detail.surface import displaced_normals
from facemill.detail.training.augmentation import Augmentation, Mirror, degrade, hidden_texels
from facemill.detail.training.batches import DetailBatch
from facemill.detail.training.published_objective import PublishedObjective
from facemill.detail.training_settings import TrainDetailSettings
from facemill.models.morphable import MorphableModel
from facemill.networks.relief_network import SCALE_CHANNEL
from facemill.training.task import StepLoss

SQUARES = 6  # side^2 / variance of two square means, one after the other


@dataclass(frozen=True)
class Scene:
    """A batch ready for the network.

    Attributes:
        maps: its coarse faces; inputs: (B, 15, h, w), augmented but not mirrored.
    """

    maps: CoarseMaps
    inputs: Tensor


class DetailObjective:
    """The loss of a batch for one model, prepared once; every tensor follows the model's device.

    `default`: photos whose displacement is known count by it (Laplace's surprise, distance, normals), others
    by their shading in the atlas and two of the published regularisers. `published`: all photos count by the
    loss of the unsupervised detail layer. A photo's loss is the sum of its terms, the batch's the mean over
    its photos.

    Args:
        mirror: of the atlas; None: nothing is mirrored.
    """

    def __init__(
        self, model: MorphableModel, atlas: DetailAtlas, settings: TrainDetailSettings, mirror: Mirror | None
    ) -> None:
        self.model, self.atlas, self.settings, self.mirror = model, atlas, settings, mirror
        self.published = (
            PublishedObjective(atlas, settings.published) if settings.objective == "published" else None
        )

    def scene(self, batch: DetailBatch, drawn: Augmentation | None = None) -> Scene:
        """Decode the coarse faces and make the network's maps."""
        maps = coarse_maps(self.model, self.atlas, batch.coefficients)
        colours, weight = batch.colours, batch.weight
        if drawn is not None:
            colours = degrade(colours, weight, drawn)
            hidden = hidden_texels(drawn, weight.shape[1], weight.shape[2], weight.device)
            weight = torch.where(hidden, torch.zeros_like(weight), weight)
        inputs = network_inputs(maps, colours, weight, batch.scale, self.atlas.mask, self.atlas.texel)
        return Scene(maps, inputs)

    def output(self, network: nn.Module, inputs: Tensor, flip: Tensor | None = None) -> Tensor:
        """A network's output for inputs, some of them shown to it as in a mirror."""
        if flip is None or self.mirror is None:
            return network(inputs.contiguous(memory_format=torch.channels_last)).float()
        mirrored = self.mirror.inputs(inputs, flip)
        found = network(mirrored.contiguous(memory_format=torch.channels_last)).float()
        return self.mirror.output(found, flip)

    def __call__(self, network: nn.Module, batch: DetailBatch, drawn: Augmentation) -> StepLoss:
        """The loss of a batch, with gradients."""
        scene = self.scene(batch, drawn)
        return self.loss(self.output(network, scene.inputs, drawn.flip), scene.maps, batch)

    def loss(self, output: Tensor, maps: CoarseMaps, batch: DetailBatch) -> StepLoss:
        """The loss of a network's output (B, 1 or 2, h, w)."""
        raw = output[:, 0]
        displacement = raw * self.atlas.mask
        if self.published is not None:
            values = self.published(raw, displacement, maps, batch)
            return _sum(values, torch.ones_like(batch.labelled))
        known, unknown = batch.labelled, ~batch.labelled
        parts = []
        if bool(known.any()):
            parts.append(_sum(self.supervised(output, displacement, maps, batch), known))
        if bool(unknown.any()):
            parts.append(_sum(self.unsupervised(displacement, maps, batch), unknown))
        total = torch.stack([part.loss for part in parts]).sum()
        return StepLoss(total, {name: value for part in parts for name, value in part.terms.items()})

    def target(self, batch: DetailBatch) -> Tensor:
        """(B, h, w) mm: what the network should say; 0 where the displacement is unknown.

        The true displacement, less its mean over known texels around (`supervised.finer_than`), times the
        mask.
        """
        target, deviation = batch.target, self.settings.supervised.finer_than / self.atlas.texel
        if deviation > 0:
            window = 2 * round(deviation * SQUARES**0.5 / 2) + 1  # variance of a square: side^2 / 12, twice
            known = batch.known.to(target.dtype)
            mean = local_mean(local_mean(target[..., None], known, window), known, window)[..., 0]
            target = (target - mean) * known
        return target * self.atlas.mask

    def supervised(
        self, output: Tensor, displacement: Tensor, maps: CoarseMaps, batch: DetailBatch
    ) -> dict[str, tuple[float, Tensor]]:
        """Terms of photos whose displacement is known: name -> weight and value (B,)."""
        weights = self.settings.supervised
        trust = weights.least_weight + (1 - weights.least_weight) * batch.weight
        weight = self.atlas.mask * trust * batch.known
        target = self.target(batch)
        slopes = weight * known_slopes(batch.known)
        values = {
            "displacement": (weights.displacement, displacement_distance(displacement, target, weight)),
            "normals": (
                weights.normals,
                slope_distance(displacement, target, maps.inverse_metric, slopes),
            ),
        }
        if output.shape[1] > SCALE_CHANNEL:
            log_scale = output[:, SCALE_CHANNEL]
            surprise = laplace_surprise(displacement, log_scale, target, weight)
            values["surprise"] = (weights.surprise, surprise)
        return values

    def unsupervised(
        self, displacement: Tensor, maps: CoarseMaps, batch: DetailBatch
    ) -> dict[str, tuple[float, Tensor]]:
        """Terms of photos of which nothing is known: name -> weight and value (B,)."""
        weights = self.settings.unsupervised
        weight = self.atlas.mask * batch.weight
        shaded = maps.shaded(displaced_normals(displacement, maps.positions, maps.normals))
        inside = self.atlas.mask > 0
        return {
            "shading": (
                weights.shading,
                shading_distance(shaded, batch.colours, maps.shaded(maps.normals), weight, weights.window),
            ),
            "magnitude": (weights.magnitude, capped_square(displacement, inside.expand_as(displacement))),
            "variation": (weights.variation, uv_variation(displacement, inside)),
        }


def _sum(values: dict[str, tuple[float, Tensor]], counted: Tensor) -> StepLoss:
    """The share of the batch's loss of the photos that are counted, (B,) bool, and the terms' means."""
    share = counted.to(torch.float32)
    total = share.new_zeros(())
    terms = {}
    for name, (weight, value) in values.items():
        value = torch.where(counted, value, torch.zeros_like(value))
        total = total + weight * value.sum() / len(value)
        terms[name] = (value.sum() / share.sum().clamp(min=1)).detach()
    return StepLoss(total, terms)
