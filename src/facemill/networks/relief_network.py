"""A small U-net that finds fine relief in maps over an atlas, and says how sure it is.

Half resolution costs a quarter; what a texel needs of its neighbours lies in the channels (pixel unshuffle),
and the last layer writes four texels at each place (pixel shuffle). There are no norms: they would make the
answer at one texel depend on contrast elsewhere, a faint wrinkle is faint, and tiles must give what the whole
map would.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from facemill.networks.residual import SECOND_GAIN, SLOPE, Residual, drawn

FINEST = 2  # texels along each side that share a place of the finest level
LOG_SCALE_LIMIT = 3.0
#: What one unit of the last layer stands for (mm, ln b), so that it learns at the pace of the others.
UNITS = (0.02, 0.2)
SCALE_CHANNEL = 1  # of the output
AROUND = 11  # texels along the square over which confidence is a mean


class ReliefNetwork(nn.Module):
    """Maps (B, channels, h, w) to relief and log scale (B, 2, h, w); h and w are multiples of `multiple`.

    Each level after the finest halves; skips are concatenated. With x, y = what the last layer says, times
    `UNITS`, channel 0 is limit tanh(x / limit), millimetres; channel 1 is the logarithm of the scale b (mm)
    of a Laplace distribution about it: ln b = ln b0 + 3 tanh(y / 3), where b0 is what b is for who sees
    nothing (`prior_map`). At the start relief is 0 and b is b0.

    Attributes:
        prior: float buffer, ln b0, of a shape that `prior_map` reads.
        floor, span: () float buffers, how scales become confidence; see `confidence_of`.
    """

    prior: Tensor
    floor: Tensor
    span: Tensor

    def __init__(
        self,
        inputs: Mapping[str, int],
        gains: Mapping[str, float],
        widths: Sequence[int],
        limit: float,
        prior: Tensor,
        span: float,
    ) -> None:
        """A new network, weights drawn from torch's generator.

        Args:
            inputs: channels of each kind of map, in their order; gains: factors that bring some of them to
                about 1. widths: channels of the levels, finest first. limit: largest relief, mm.
            prior, span: values of these buffers before training has chosen them; `floor` is 0.
        """
        super().__init__()
        self.channels, self.limit = sum(inputs.values()), limit
        self.gains = tuple(gain for name, n in inputs.items() for gain in n * [gains.get(name, 1.0)])
        first, last = widths[0], len(widths) - 1
        self.begin = _convolution(self.channels * FINEST**2, first)
        self.down_blocks = nn.ModuleList(_residual(width) for width in widths)
        self.reduce = nn.ModuleList(
            _convolution(fine, coarse, 2) for fine, coarse in itertools.pairwise(widths)
        )
        self.enlarge = nn.ModuleList(_convolution(widths[n + 1], widths[n], 1) for n in range(last))
        self.join = nn.ModuleList(_convolution(2 * width, width, 1) for width in widths[:-1])
        self.up_blocks = nn.ModuleList(_residual(width) for width in widths[:-1])
        self.end = nn.Conv2d(first, 2 * FINEST**2, 3, padding=1)
        nn.init.zeros_(self.end.weight)
        nn.init.zeros_(self.end.bias)  # type: ignore[arg-type]
        self.register_buffer("prior", prior)
        self.register_buffer("floor", torch.tensor(0.0))
        self.register_buffer("span", torch.tensor(span))

    @property
    def multiple(self) -> int:
        """The sides of maps are multiples of this."""
        return FINEST << len(self.reduce)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, channels, h, w) -> (B, 2, h, w); ValueError for other shapes."""
        height, width = maps.shape[-2:]
        if (
            maps.ndim != 4
            or maps.shape[1] != self.channels
            or height % self.multiple
            or width % self.multiple
        ):
            raise ValueError(
                f"maps: expected (B, {self.channels}, h, w), h and w multiples of {self.multiple}, "
                f"found {tuple(maps.shape)}"
            )
        scaled = maps * maps.new_tensor(self.gains)[:, None, None]
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
        relief = self.limit * torch.tanh(UNITS[0] * raw[:, :1] / self.limit)
        spread = LOG_SCALE_LIMIT * torch.tanh(UNITS[1] * raw[:, SCALE_CHANNEL:] / LOG_SCALE_LIMIT)
        return torch.cat((relief, self.prior_map(height, width) + spread), dim=1)

    def prior_map(self, height: int, width: int) -> Tensor:
        """ln b0 at each texel, (1, 1, height, width) or what broadcasts to it."""
        return self.prior

    def confidence_of(self, output: Tensor) -> Tensor:
        """(B, h, w) 0..1: how much of what is to be known of a texel the network says it has seen.

        Who says 0 is wrong by |r| + b e^(-|r| / b) in the mean, if the truth is distributed as the network
        says. 1 - b / that (means over `AROUND` texels: relief crosses 0 everywhere) is the share of the error
        that looking has removed; up to `floor` it is none, from `floor` + `span` on it is enough.
        """
        left, whole = self._errors(output)
        return ((1 - left / whole - self.floor) / self.span).clamp(0, 1)

    def _errors(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """(B, h, w) twice, mm: mean errors around each texel of who trusts the network and of who says 0."""
        size, scale = output[:, :1].abs(), output[:, SCALE_CHANNEL:].exp()
        whole = size + scale * torch.exp(-size / scale)
        left, whole = mean_around(torch.cat((scale, whole), dim=1)).unbind(1)
        return left, whole


def mean_around(maps: Tensor) -> Tensor:
    """Means of (B, C, h, w) over `AROUND` x `AROUND` texels, at borders over those that there are."""
    return functional.avg_pool2d(maps, AROUND, stride=1, padding=AROUND // 2, count_include_pad=False)


def _residual(channels: int) -> Residual:
    return Residual(_convolution(channels, channels), _convolution(channels, channels, gain=SECOND_GAIN))


def _convolution(inputs: int, outputs: int, kernel: int = 3, gain: float = 1.0) -> nn.Conv2d:
    """3 x 3 and 1 x 1 keep the size, 2 x 2 halves it."""
    stride, padding = (2 if kernel == 2 else 1), (1 if kernel == 3 else 0)
    return drawn(nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding), gain)
