"""The matching network: how well do the views agree that the surface passes through a point?"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from facemill.multiview.implicit.aggregation import VisibilityAggregation, view_variance
from facemill.multiview.implicit.encoders import make_encoder
from facemill.multiview.implicit.projection import Places, Samples, ViewFeatures, sample_views
from facemill.multiview.implicit.spec import ImplicitSpec

PUBLISHED_BAND = 20.0  # mm that stand for 1 in the displacement that kind `published` reads
SLOPE = 0.01  # of the perceptron's leaky ReLUs


class Queries(NamedTuple):
    """What a training step asks of one capture.

    pictures: V of (1, 3, H, W), colours 0..1. matrices: V of (3, 4), head frame to their pixels.
    places: T texels; displacement: (T, D) mm; taps: (K, 2) mm.
    """

    pictures: Sequence[Tensor]
    matrices: Sequence[Tensor]
    places: Places
    displacement: Tensor
    taps: Tensor


class ImplicitNetwork(nn.Module):
    """Features of views (`encode`), and the score of queries from samples of them (`logits`).

    The perceptron reads what the views have in common (128 variances in kind `published`, and the normalised
    displacement); its sigmoid is the score, 0..1.
    """

    def __init__(self, spec: ImplicitSpec) -> None:
        super().__init__()
        self.spec = spec
        self.encoder = make_encoder(spec)
        self.views: VisibilityAggregation | None = None
        inputs = spec.features
        if spec.aggregation == "visibility":
            self.views = VisibilityAggregation(spec.features)
            inputs = self.views.outputs
        inputs += self.reads_displacement
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise((inputs, *spec.hidden)):
            layers += [nn.Linear(before, after), nn.LeakyReLU(SLOPE)]
        self.score = nn.Sequential(*layers, nn.Linear((inputs, *spec.hidden)[-1], 1))

    @property
    def reads_displacement(self) -> bool:
        """Whether a query's displacement from the base matters: only in the published network."""
        return self.spec.kind == "published"

    def forward(self, patches: Sequence[Queries]) -> list[Tensor]:
        """Logits (T, D) of the queries of each patch; what a training step calls."""
        found = []
        for patch in patches:
            pairs = zip(patch.pictures, patch.matrices, strict=True)
            views = [self.encode(picture, matrix) for picture, matrix in pairs]
            found.append(self.scored(views, patch.places, patch.displacement, patch.taps))
        return found

    def encode(self, picture: Tensor, matrix: Tensor) -> ViewFeatures:
        """Features of a picture (1, 3, H, W), float32, and the matrix (3, 4) for them.

        Pixel (x, y) of features of stride s lies over pixel (s x, s y) of the picture.
        """
        stride = matrix.new_tensor([1 / self.encoder.stride, 1 / self.encoder.stride, 1.0])
        return ViewFeatures(self.encoder(picture).float(), stride[:, None] * matrix)

    def scored(
        self, views: Sequence[ViewFeatures], places: Places, displacement: Tensor, taps: Tensor
    ) -> Tensor:
        """(T, D) logits of texels moved by displacement (T, D) mm along their normals."""
        with torch.autocast(displacement.device.type, enabled=False):  # pixels in bfloat16 would be off by 4
            samples = sample_views(views, places, displacement, taps, self.views is None)
        if not len(samples.weights):  # nobody sees anything: as two views that see nothing
            samples = Samples(
                samples.features.new_zeros(2, *samples.features.shape[1:]),
                samples.weights.new_zeros(2, len(displacement)),
            )
        features = samples.features.flatten(3, 4)
        weights = samples.weights[..., None].expand(-1, -1, displacement.shape[1]).flatten(1)
        return self.logits(features, weights, displacement.flatten()).float().view_as(displacement)

    def logits(self, samples: Tensor, weights: Tensor, displacement: Tensor) -> Tensor:
        """(Q,) logits of the scores of Q queries.

        Args:
            samples: (V, C, K, Q) features of V views at the K taps of each query, 0 beside a picture.
            weights: (V, Q) 0..1, 0 for views that do not see the texel; `variance` takes all views alike.
            displacement: (Q,) mm.
        """
        if samples.ndim != 4 or samples.shape[1:3] != (self.spec.features, self.spec.taps**2):
            raise ValueError(
                f"samples: expected (V, {self.spec.features}, {self.spec.taps**2}, Q), "
                f"found {tuple(samples.shape)}"
            )
        together = view_variance(samples) if self.views is None else self.views(samples, weights)
        if self.reads_displacement:
            together = torch.cat((together, displacement[None] / PUBLISHED_BAND))
        scores: Tensor = self.score(together.T)
        return scores.squeeze(-1)
