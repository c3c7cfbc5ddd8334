"""A trained network as the stages use it: crops in, coefficients out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from facemill.coarse.networks.coarse_network import (
    CoarseNetwork,
    coefficients_of,
    network_pictures,
    prediction_of,
)
from facemill.coarse.networks.files import load_network
from facemill.models.coefficients import Coefficients
from facemill.models.morphable import MorphableModel


@dataclass(frozen=True)
class PredictedFaces:
    """What a network says of B faces.

    Attributes:
        coefficients: of its morphable model, for the camera of Deep3D's crop.
        dense: (B, D, 2) pixels of the 224 crop of the vertices `spec.dense_vertices`, D may be 0.
        dense_deviation: (B, D) pixels per axis.
    """

    coefficients: Coefficients
    dense: Tensor
    dense_deviation: Tensor


class Predictor:
    """Predicts faces with one model; prepared once, norms folded into the convolutions.

    Args:
        network: for `model`.
    """

    def __init__(self, network: CoarseNetwork, model: MorphableModel) -> None:
        self.model = model
        self.spec = network.spec
        self.network = network.folded().to(
            device=model.device,
            memory_format=torch.channels_last,  # type: ignore[call-overload]
        )

    def __call__(self, crops: Tensor) -> PredictedFaces:
        """The faces in crops (B, 224, 224, 3), colours 0..1; no gradients."""
        with torch.inference_mode():
            pictures = network_pictures(crops.to(self.model.device).float(), self.spec)
            numbers = self.network(pictures.contiguous(memory_format=torch.channels_last))
            prediction = prediction_of(numbers, self.spec)
            found = coefficients_of(prediction, self.spec, self.model)
        return PredictedFaces(
            found.to(dtype=self.model.albedo_mean.dtype).detach(),
            prediction.dense.detach(),
            prediction.dense_deviation.detach(),
        )


def load_predictor(path: str | Path, model: MorphableModel, model_name: str) -> Predictor:
    """Read weights (`coarse.networks.files.load_network`) and prepare them for `model`."""
    return Predictor(load_network(path, model, model_name), model)
