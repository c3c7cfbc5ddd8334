"""The default network: a small U-net from half of the resolution on that also says how sure it is.

It has no norms, because a faint wrinkle is faint whatever the contrast beside it, and because tiles must give
what the whole map would.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from facemill.multiview.mesoscopic.spec import INPUT_CHANNELS, INPUTS, MesoscopicSpec

SLOPE = 0.1  # of the leaky ReLU
FINEST = 2  # texels along each side that share a place of the finest level
LOG_SCALE_LIMIT = 3.0
#: What one unit of the last layer stands for (mm, ln b), so that it learns at the pace of the others.
UNITS = (0.02, 0.2)
AROUND = 11  # texels along the square over which confidence is a mean
#: Factors that bring the inputs to about 1.
GAINS = {"contrast": 10.0, "response": 1.0, "bump": 20.0}


class _Residual(nn.Module):
    """x + conv(act(conv(act(x)))), 3 x 3; the second starts at a tenth, so that depth costs no contrast."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _convolution(channels, channels)
        self.second = _convolution(channels, channels, gain=0.1)

    def forward(self, values: Tensor) -> Tensor:
        hidden = self.first(functional.leaky_relu(values, SLOPE))
        return values + self.second(functional.leaky_relu(hidden, SLOPE))


class CompactNetwork(nn.Module):
    """Maps (B, 14, h, w) of `spec.INPUTS` to relief and log scale (B, 2, h, w).

    h and w are multiples of `spec.multiple`. Four texels share a place of the finest level (pixel unshuffle),
    each further level halves, skips are concatenated. With x, y = what the last layer says, times `UNITS`,
    channel 0 is limit tanh(x / limit), millimetres; channel 1 is the logarithm of the scale b (mm) of a
    Laplace distribution about it: ln b = ln prior + 3 tanh(y / 3). At the start relief is 0 and b the prior.

    Attributes:
        prior: () float buffer, ln of the mean size of the relief that is to be found, mm.
        floor, span: () float buffers, how scales become confidence; see `confidence_of`.
    """

    prior: Tensor
    floor: Tensor
    span: Tensor

    def __init__(self, spec: MesoscopicSpec) -> None:
        super().__init__()
        if spec.kind != "compact":
            raise ValueError(f"spec.kind: expected compact, found {spec.kind}")
        self.spec = spec
        widths = spec.widths
        first, last = widths[0], len(widths) - 1
        self.begin = _convolution(INPUT_CHANNELS * FINEST**2, first)
        self.down_blocks = nn.ModuleList(_Residual(width) for width in widths)
        self.reduce = nn.ModuleList(_convolution(a, b, 2) for a, b in itertools.pairwise(widths))
        self.enlarge = nn.ModuleList(_convolution(widths[n + 1], widths[n], 1) for n in range(last))
        self.join = nn.ModuleList(_convolution(2 * width, width, 1) for width in widths[:-1])
        self.up_blocks = nn.ModuleList(_Residual(width) for width in widths[:-1])
        self.end = nn.Conv2d(first, 2 * FINEST**2, 3, padding=1)
        nn.init.zeros_(self.end.weight)
        nn.init.zeros_(self.end.bias)  # type: ignore[arg-type]
        self.register_buffer("prior", torch.tensor(-3.5))
        self.register_buffer("floor", torch.tensor(0.0))
        self.register_buffer("span", torch.tensor(0.1))

    def forward(self, maps: Tensor) -> Tensor:
        """(B, 14, h, w) -> (B, 2, h, w)."""
        side = self.spec.multiple
        if maps.ndim != 4 or maps.shape[1] != INPUT_CHANNELS or maps.shape[2] % side or maps.shape[3] % side:
            raise ValueError(
                f"maps: expected (B, {INPUT_CHANNELS}, h, w), h and w multiples of {side}, "
                f"found {tuple(maps.shape)}"
            )
        gains = [gain for name, count in INPUTS.items() for gain in count * [GAINS.get(name, 1.0)]]
        scaled = maps * maps.new_tensor(gains)[:, None, None]
        values = self.begin(functional.pixel_unshuffle(scaled, FINEST))
        skips = []
        for block, reduce in zip(self.down_blocks, self.reduce, strict=False):
            values = block(values)
            skips.append(values)
            values = reduce(values)
        values = self.down_blocks[-1](values)
        for level in reversed(range(len(self.reduce))):
            enlarged = functional.interpolate(self.enlarge[level](values), scale_factor=2.0, mode="nearest")
            values = self.up_blocks[level](self.join[level](torch.cat((enlarged, skips.pop()), dim=1)))
        raw = functional.pixel_shuffle(self.end(functional.leaky_relu(values, SLOPE)), FINEST).float()
        limit = self.spec.limit
        relief = limit * torch.tanh(UNITS[0] * raw[:, :1] / limit)
        spread = LOG_SCALE_LIMIT * torch.tanh(UNITS[1] * raw[:, 1:] / LOG_SCALE_LIMIT)
        return torch.cat((relief, self.prior + spread), dim=1)

    def confidence_of(self, output: Tensor) -> Tensor:
        """(B, h, w) 0..1: how much of the relief the network says it has seen.

        Who says 0 is wrong by |r| + b e^(-|r| / b) in the mean, if the truth is distributed as the network
        says. 1 - b / that (means over `AROUND` texels: relief crosses 0 everywhere) is the share of the error
        that looking has removed; up to `floor` it is none, from `floor` + `span` on it is enough.
        """
        size, scale = output[:, :1].abs(), output[:, 1:].exp()
        whole = size + scale * torch.exp(-size / scale)
        maps = torch.cat((scale, whole), dim=1)
        left, whole = functional.avg_pool2d(
            maps, AROUND, stride=1, padding=AROUND // 2, count_include_pad=False
        ).unbind(1)
        return ((1 - left / whole - self.floor) / self.span).clamp(0, 1)


def _convolution(inputs: int, outputs: int, kernel: int = 3, gain: float = 1.0) -> nn.Conv2d:
    """3 x 3 and 1 x 1 keep the size, 2 x 2 halves it; weights after He et al. 2015, times `gain`."""
    layer = nn.Conv2d(
        inputs, outputs, kernel, stride=2 if kernel == 2 else 1, padding=1 if kernel == 3 else 0
    )
    nn.init.kaiming_normal_(layer.weight, a=SLOPE)
    with torch.no_grad():
        layer.weight *= gain
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer
