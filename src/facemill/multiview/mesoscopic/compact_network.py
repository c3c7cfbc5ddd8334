"""The default network of the mesoscopic stage: a U-net whose answer does not depend on the atlas."""

from __future__ import annotations

import torch

from facemill.multiview.mesoscopic.spec import INPUTS, MesoscopicSpec
from facemill.networks.relief_network import ReliefNetwork

#: Factors that bring the inputs to about 1.
GAINS = {"contrast": 10.0, "response": 1.0, "bump": 20.0, "match": 20.0}
PRIOR, SPAN = -3.5, 0.1  # before training has chosen them


class CompactNetwork(ReliefNetwork):
    """Maps (B, C, h, w) of `spec.INPUTS` to relief and log scale (B, 2, h, w).

    h and w are multiples of `multiple`.

    Attributes:
        prior: () float buffer, ln of the mean size of the relief that is to be found, mm.
    """

    def __init__(self, spec: MesoscopicSpec) -> None:
        if spec.kind != "compact":
            raise ValueError(f"spec.kind: expected compact, found {spec.kind}")
        super().__init__(INPUTS, GAINS, spec.widths, spec.limit, torch.tensor(PRIOR), SPAN)
        self.spec = spec
