"""The default network of the detail layer: a U-net for the window of one atlas."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from facemill.detail.networks.spec import INPUTS, NetworkSpec
from facemill.networks.relief_network import SCALE_CHANNEL, ReliefNetwork, mean_around

#: Factors that bring the inputs to about 1: relief changes colours by some hundredths, normals reach 1.
GAINS = {"difference": 10.0, "photo": 2.0, "slope": 20.0}
PRIOR, SPAN = -2.3, 0.2  # before training has chosen them


class DetailNetwork(ReliefNetwork):
    """Maps (B, 15, h, w) of `detail.inputs` to displacement and log scale (B, 2, h, w).

    h and w are multiples of 32. The prior is a map that is read from the training set: faces have their
    wrinkles in some places.

    Attributes:
        prior: (h / 32, w / 32) float buffer, ln b0.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        if spec.kind != "detail":
            raise ValueError(f"spec.kind: expected detail, found {spec.kind}")
        super().__init__(INPUTS, GAINS, spec.widths, spec.limit, torch.full(spec.prior_shape, PRIOR), SPAN)
        self.spec = spec

    def prior_map(self, height: int, width: int) -> Tensor:
        """(1, 1, height, width): ln b0 at each texel."""
        return functional.interpolate(
            self.prior[None, None], (height, width), mode="bilinear", align_corners=False
        )

    def confidence_of(self, output: Tensor) -> Tensor:
        """(B, h, w) 0..1: as `ReliefNetwork`'s, but who says 0 is wrong by b0 at least, as on all faces."""
        left, whole = self._errors(output)
        prior = self.prior_map(output.shape[2], output.shape[3]).exp()
        usual = mean_around(prior.expand_as(output[:, SCALE_CHANNEL:]))[:, 0]
        return ((1 - left / torch.maximum(whole, usual) - self.floor) / self.span).clamp(0, 1)
