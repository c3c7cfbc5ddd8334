"""Validation by a protocol of the evaluation: the distances that a benchmark would measure."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facemill.coarse.networks.coarse_network import prediction_of
from facemill.coarse.networks.confidence_network import AnyNetwork
from facemill.coarse.training.batches import PackedShards
from facemill.coarse.training.labels import scored_vertices
from facemill.coarse.training.validation import batches_of, predict_numbers, spread
from facemill.models.morphable import MorphableModel
from facemill.runtime.errors import PhotoError

# (true points, true landmarks, vertices, triangles, landmarks) -> distances of the points, mm:
# `evaluation.shape_protocol.protocol_distances`, which the script brings, as stages do not know one another.
Protocol = Callable[[NDArray, NDArray, NDArray, NDArray, NDArray], NDArray]

POINTS = 1500  # of the true surface, about: enough for a median, a quarter of the time

logger = logging.getLogger(__name__)


class ProtocolValidation:
    """Scores neutral shapes of some validation images with labels; prepared once for a training.

    The truth is the labels' shape: what the model can show of the true head, so the figures are a little
    lower than on scans.

    Args:
        images: to choose from, evenly; those without labels are left out. count: how many at most.
    """

    def __init__(self, model: MorphableModel, protocol: Protocol, images: PackedShards, count: int) -> None:
        self.model, self.protocol, self.images = model, protocol, images
        topology = model.topology
        self.triangles = topology.triangles.cpu().numpy()
        self.landmarks = topology.now_landmarks.cpu().numpy()
        scored = scored_vertices(model).cpu().numpy()
        self.scored = scored[:: max(1, len(scored) // POINTS)]
        self.numbers = [n for n in spread(images, count) if bool(images[n]["labelled"])]
        self._mean_face: dict[int, NDArray] = {}

    def __call__(self, network: AnyNetwork) -> dict[str, float]:
        """now_median: pooled median distance, mm; now_ratio: to the mean face's. Empty without labels."""
        distances, of_mean_face = [], []
        for batch in batches_of(self.images, self.numbers, network):
            found = self._shapes(prediction_of(predict_numbers(network, batch), network.spec).identity)
            truth = self._shapes(batch.identity)
            neutral = self._shapes(torch.zeros_like(batch.identity[:1]))[0]
            for number, true, shape in zip(batch.numbers.tolist(), truth, found, strict=True):
                if number not in self._mean_face:
                    self._mean_face[number] = self._distances(true, neutral)
                try:
                    distances.append(self._distances(true, shape))
                except PhotoError as error:
                    logger.warning("image %s is not scored: %s", self.images.photo(number), error)
                    continue
                of_mean_face.append(self._mean_face[number])
        if not distances:
            return {}
        median = float(np.median(np.concatenate(distances)))
        floor = float(np.median(np.concatenate(of_mean_face)))
        return {"now_median": median, "now_ratio": median / floor}

    def _shapes(self, identity: Tensor) -> NDArray[np.float64]:
        device = self.model.device
        neutral = torch.zeros(len(identity), self.model.expression_count, device=device)
        return self.model.shape(identity.to(device), neutral).double().cpu().numpy()

    def _distances(self, true: NDArray, shape: NDArray) -> NDArray:
        return self.protocol(
            true[self.scored], true[self.landmarks], shape, self.triangles, shape[self.landmarks]
        )
