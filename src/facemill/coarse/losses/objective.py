"""The hybrid loss: the one place that knows the weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from facemill.coarse.losses.landmark import landmark_distance, landmark_weights
from facemill.coarse.losses.perceptual import identity_distance
from facemill.coarse.losses.photometric import photometric_distance
from facemill.coarse.losses.regularisation import lighting_colour, mahalanobis, reflectance_variance
from facemill.coarse.settings import CoarseWeights


@dataclass(frozen=True)
class CoarsePrediction:
    """What a fitting or a network predicts for B photos.

    Attributes:
        rendered: (B, ..., 3) colours; any layout of pixels that `CoarseTarget.photo` shares.
        region: (B, ...) 1 where the render shows the face region, else 0; no gradient flows into it.
        landmarks: (B, 68, 2) pixels of the 224 crop.
        identity, expression, albedo: (B, N) standard deviations from where the prior is centred.
        lighting: (B, 27).
        skin_albedo: (B, S, 3) albedo of the skin vertices.
        features: (B, N) of an identity network on the render; None leaves the perceptual term out.
    """

    rendered: Tensor
    region: Tensor
    landmarks: Tensor
    identity: Tensor
    expression: Tensor
    albedo: Tensor
    lighting: Tensor
    skin_albedo: Tensor
    features: Tensor | None = None

    def with_prior_share(self, share: float) -> CoarsePrediction:
        """The same with `share` of the prior of identity and albedo.

        With 1 / n for each of n photos of a person their mean loss has the prior once, and the data n times.
        """
        if share == 1:
            return self
        root = share**0.5
        return replace(
            self,
            identity=self.identity * root,
            albedo=self.albedo * root,
            skin_albedo=self.skin_albedo * root,
        )


@dataclass(frozen=True)
class CoarseTarget:
    """What the photos show.

    Attributes:
        photo: (B, ..., 3) colours 0..1, file values.
        attention: (B, ...) skin probability 0..1.
        landmarks: (B, 68, 2) detected, pixels of the 224 crop.
        confidence: (B, 68) factor for each landmark, or None for 1.
        features: (B, N) of the same identity network on the photo.
    """

    photo: Tensor
    attention: Tensor
    landmarks: Tensor
    confidence: Tensor | None = None
    features: Tensor | None = None


@dataclass(frozen=True)
class LossTerms:
    """total: (B,) weighted sum; terms: name of the weight -> unweighted (B,), without gradients."""

    total: Tensor
    terms: dict[str, Tensor]


def coarse_objective(prediction: CoarsePrediction, target: CoarseTarget, weights: CoarseWeights) -> LossTerms:
    """The hybrid loss of each photo (Deng et al. 2019).

    Terms of weight 0 are not computed. Photos do not mix: entry b depends on photo b only. The perceptual
    term needs the features of an identity network, which a fit does without.
    """
    families: dict[str, Callable[[], Tensor]] = {
        "photometric": lambda: photometric_distance(
            prediction.rendered, target.photo, target.attention * prediction.region.detach()
        ),
        "landmark": lambda: landmark_distance(
            prediction.landmarks, target.landmarks, _point_weights(target, weights.landmark_emphasis)
        ),
        "identity": lambda: mahalanobis(prediction.identity),
        "expression": lambda: mahalanobis(prediction.expression),
        "albedo": lambda: mahalanobis(prediction.albedo),
        "reflectance": lambda: reflectance_variance(prediction.skin_albedo),
        "lighting": lambda: lighting_colour(prediction.lighting),
    }
    if prediction.features is not None and target.features is not None:
        rendered_features, photo_features = prediction.features, target.features
        families["perceptual"] = lambda: identity_distance(rendered_features, photo_features)
    total = torch.zeros_like(prediction.lighting[:, 0])
    terms = {}
    for name, value_of in families.items():
        weight = getattr(weights, name, 0.0)
        if weight > 0:
            value = value_of()
            terms[name] = value.detach()
            total = total + weight * value
    return LossTerms(total, terms)


def _point_weights(target: CoarseTarget, emphasis: float) -> Tensor:
    weights = landmark_weights(emphasis, target.landmarks.dtype, target.landmarks.device)
    return weights if target.confidence is None else weights * target.confidence
