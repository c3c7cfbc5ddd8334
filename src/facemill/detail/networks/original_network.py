"""The network of the unsupervised detail layer (Chen et al., TIP 2020)."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from facemill.detail.networks.spec import INPUT_CHANNELS, NetworkSpec

#: Channels of its ten convolutions; the first keeps the size, each other one halves it (512 -> 1).
WIDTHS = (16, 32, 64, 128, 256, 512, 512, 512, 512, 512)
KERNEL = 3


class OriginalDetailNetwork(nn.Module):
    """Maps (B, 15, h, w) of `detail.inputs` to a displacement (B, 1, h, w), millimetres.

    It reads the difference of photo and coarse render alone, as (photo - 127.5) / 127.5 minus the same of the
    render, colours 0..255. Ten 3 x 3 convolutions with ReLU; mirrored transposed convolutions of stride 2,
    each followed by ReLU and then added to the encoder's map of its size; a last convolution to one channel
    and tanh. The original's maps have 512 x 512 texels and its tanh stands for 1 mm; any size works here,
    and `spec.limit` is the number of millimetres.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        if spec.kind != "original":
            raise ValueError(f"spec.kind: expected original, found {spec.kind}")
        self.spec = spec
        inputs = (3, *WIDTHS[:-1])
        self.encoder = nn.ModuleList(
            nn.Conv2d(before, after, KERNEL, stride=1 if level == 0 else 2, padding=1)
            for level, (before, after) in enumerate(zip(inputs, WIDTHS, strict=True))
        )
        self.decoder = nn.ModuleList(
            nn.ConvTranspose2d(after, before, KERNEL, stride=2, padding=1)
            for before, after in reversed(list(itertools.pairwise(WIDTHS)))
        )
        self.end = nn.Conv2d(WIDTHS[0], 1, KERNEL, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, 15, h, w) -> (B, 1, h, w)."""
        if maps.ndim != 4 or maps.shape[1] != INPUT_CHANNELS:
            raise ValueError(f"maps: expected (B, {INPUT_CHANNELS}, h, w), found {tuple(maps.shape)}")
        values = 2 * maps[:, :3]
        skips = []
        for layer in self.encoder:
            values = functional.relu(layer(values))
            skips.append(values)
        skips.pop()
        for layer in self.decoder:
            skip = skips.pop()
            enlarged = layer(values, output_size=list(skip.shape[-2:]))
            values = functional.relu(enlarged) + skip
        return self.spec.limit * torch.tanh(self.end(values).float())

    def confidence_of(self, output: Tensor) -> Tensor:
        """(B, h, w): 1 everywhere, because it says nothing about it."""
        return torch.ones_like(output[:, 0])
