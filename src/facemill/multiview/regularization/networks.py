"""3D U-Nets over volumes of scores: ours on a narrow band, and the published one on the dense volume."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from facemill.multiview.regularization.bands import soft_argmax
from facemill.multiview.regularization.spec import MULTIPLE, RegularizerSpec
from facemill.networks.residual import SECOND_GAIN, SLOPE, Residual, drawn

START_WIDTH = 0.15  # mm: standard deviation of the distribution before training, about the classical surface
START_SCALE = 0.05  # mm: scale b before training
GAIN = 10.0  # of the correction: 0.05 mm ask for logits that differ by 2 over the band
LOG_SCALE_LIMIT = 3.0
LEAST_SCALE = 1e-3  # mm


class CompactRegularizer(nn.Module):
    """Volumes (B, 8, D, H, W) of `evidence.network_input` to residual and log scale (B, 2, H, W).

    A U-Net with two levels of stride 2 in all three directions, additive skips, leaky ReLU, no norms (a strip
    of a face gives what the whole gives). Its first output is a correction of the logarithms of
    exp(-z^2 / 2 width^2), z mm from the classical surface: the residual is the soft-argmax. Its second one,
    averaged over that distribution to y, is the logarithm of the scale b (mm) of a Laplace distribution about
    the result: ln b = ln b0 + 3 tanh(y / 3). A network that starts gives residual 0 and b = b0.
    """

    offsets: Tensor

    def __init__(self, spec: RegularizerSpec) -> None:
        super().__init__()
        if spec.kind != "compact":
            raise ValueError(f"spec.kind: expected compact, found {spec.kind}")
        self.spec = spec
        fine, middle, coarse = spec.widths
        self.begin = _convolution(spec.channels, fine)
        self.reduce = nn.ModuleList([_halving(fine, middle), _halving(middle, coarse)])
        self.down = nn.ModuleList([_residual(middle), _residual(coarse)])
        self.enlarge = nn.ModuleList([_convolution(middle, fine, 1), _convolution(coarse, middle, 1)])
        self.up = nn.ModuleList([_residual(fine), _residual(middle)])
        self.end = nn.Conv3d(fine, 2, 1)
        nn.init.zeros_(self.end.weight)
        nn.init.zeros_(self.end.bias)  # type: ignore[arg-type]
        self.log_width = nn.Parameter(torch.tensor(math.log(START_WIDTH)))
        self.log_scale = nn.Parameter(torch.tensor(math.log(START_SCALE)))
        self.register_buffer("offsets", band_offsets(spec), persistent=False)

    def forward(self, volume: Tensor) -> Tensor:
        """(B, 8, D, H, W), sides multiples of 4 -> (B, 2, H, W): mm, and ln of mm."""
        _check(volume, self.spec, MULTIPLE)
        first = self.begin(volume)
        second = self.down[0](self.reduce[0](functional.leaky_relu(first, SLOPE)))
        third = self.down[1](self.reduce[1](functional.leaky_relu(second, SLOPE)))
        second = self.up[1](second + _doubled(self.enlarge[1](third)))
        first = self.up[0](first + _doubled(self.enlarge[0](second)))
        found = self.end(functional.leaky_relu(first, SLOPE)).float()
        prior = -0.5 * (self.offsets / self.log_width.exp()) ** 2
        logits = GAIN * found[:, 0] + prior[:, None, None]
        residual, _ = soft_argmax(logits, self.offsets)
        spread = (torch.softmax(logits, dim=1) * found[:, 1]).sum(dim=1)
        scale = self.log_scale + LOG_SCALE_LIMIT * torch.tanh(spread / LOG_SCALE_LIMIT)
        return torch.stack([residual, scale], dim=1)


class PublishedRegularizer(nn.Module):
    """Volumes (B, 1, D, H, W) of scores to displacement and log spread (B, 2, H, W); Xiao et al. 2022.

    As published: channels 1, 2, 4; convolution, batch norm and ReLU; two levels of stride 2; transposed
    convolutions up; additive skips; a convolution to one channel; softmax over d; soft-argmax in steps. D is
    odd (201), H and W are multiples of 4. The spread, ln of the mean distance from the mean, is ours.
    """

    offsets: Tensor

    def __init__(self, spec: RegularizerSpec) -> None:
        super().__init__()
        if spec.kind != "published":
            raise ValueError(f"spec.kind: expected published, found {spec.kind}")
        self.spec = spec
        fine, middle, coarse = spec.widths
        self.begin = _normed(spec.channels, fine)
        self.reduce = nn.ModuleList([_normed(fine, middle, 2), _normed(middle, coarse, 2)])
        self.down = nn.ModuleList([_normed(middle, middle), _normed(coarse, coarse)])
        self.enlarge = nn.ModuleList([_Enlarged(middle, fine), _Enlarged(coarse, middle)])
        self.end = nn.Conv3d(fine, 1, 3, padding=1)
        self.register_buffer("offsets", band_offsets(spec), persistent=False)

    def forward(self, volume: Tensor) -> Tensor:
        """(B, 1, D, H, W) -> (B, 2, H, W): mm from the base mesh, and ln of mm."""
        _check(volume, self.spec, 1)
        first = self.begin(volume)
        second = self.down[0](self.reduce[0](first))
        third = self.down[1](self.reduce[1](second))
        second = second + self.enlarge[1](third, second)
        first = first + self.enlarge[0](second, first)
        mean, spread = soft_argmax(self.end(first)[:, 0], self.offsets)
        return torch.stack([mean, spread.clamp(min=LEAST_SCALE).log()], dim=1)


AnyRegularizer = CompactRegularizer | PublishedRegularizer


def make_regularizer(spec: RegularizerSpec) -> AnyRegularizer:
    """A new network, weights drawn from torch's generator."""
    return CompactRegularizer(spec) if spec.kind == "compact" else PublishedRegularizer(spec)


def band_offsets(spec: RegularizerSpec) -> Tensor:
    """(D,) mm from the middle of the band, increasing, symmetric."""
    return spec.step * (torch.arange(spec.samples) - (spec.samples - 1) / 2)


def _residual(channels: int) -> Residual:
    return Residual(_convolution(channels, channels), _convolution(channels, channels, gain=SECOND_GAIN))


class _Enlarged(nn.Module):
    """Transposed convolution of stride 2, batch norm, ReLU, to the sides of another volume."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.ConvTranspose3d(inputs, outputs, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm3d(outputs)

    def forward(self, values: Tensor, like: Tensor) -> Tensor:
        larger = self.convolution(values, output_size=like.shape[2:])
        return functional.relu(self.norm(larger))


def _convolution(inputs: int, outputs: int, kernel: int = 3, gain: float = 1.0) -> nn.Conv3d:
    """Keeps the size."""
    return drawn(nn.Conv3d(inputs, outputs, kernel, padding=kernel // 2), gain)


def _halving(inputs: int, outputs: int) -> nn.Conv3d:
    return drawn(nn.Conv3d(inputs, outputs, 2, stride=2))


def _normed(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv3d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm3d(outputs), nn.ReLU())


def _doubled(values: Tensor) -> Tensor:
    return functional.interpolate(values, scale_factor=2.0, mode="nearest")


def _check(volume: Tensor, spec: RegularizerSpec, multiple: int) -> None:
    shape = tuple(volume.shape)
    if (
        len(shape) != 5
        or shape[1:3] != (spec.channels, spec.samples)
        or shape[3] % multiple
        or shape[4] % multiple
    ):
        raise ValueError(
            f"volume: expected (B, {spec.channels}, {spec.samples}, H, W), H and W multiples of {multiple}, "
            f"found {shape}"
        )
