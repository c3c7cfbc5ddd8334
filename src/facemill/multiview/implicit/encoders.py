"""From a picture to features that can be compared between views."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from facemill.multiview.implicit.spec import GROUPS, ImplicitSpec

SLOPE = 0.1  # of the leaky ReLUs of kind `compact`
AROUND = 9  # px along the square whose mean and contrast a pixel is normalised by
FAINT = 0.01  # colours 0..1: contrast that counts as noise, 2.5 grey values
RAW = 3  # feature channels of kind `compact` that are the normalised picture itself


class PublishedEncoder(nn.Module):
    """(B, 3, H, W) colours 0..1 to (B, 128, ceil(H/2), ceil(W/2)) (AAAI 2022).

    A 5 x 5 convolution of stride 2 (no norm), then six times 3 x 3 convolution, group norm (32 groups) and
    ReLU, and a last 3 x 3 convolution. Pixel (x, y) of the features lies over pixel (2x, 2y) of the picture.
    """

    stride = 2
    reach = 20  # px of the picture that a feature reads to each side: 2 + 2 (2 * 7 + ...) rounded up

    def __init__(self, spec: ImplicitSpec) -> None:
        super().__init__()
        widths = spec.widths
        self.begin = nn.Conv2d(3, widths[0], 5, stride=2, padding=2)
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(before, after, 3, padding=1, bias=False), nn.GroupNorm(GROUPS, after), nn.ReLU()
                )
                for before, after in itertools.pairwise(widths)
            )
        )
        self.end = nn.Conv2d(widths[-1], spec.features, 3, padding=1)

    def forward(self, pictures: Tensor) -> Tensor:
        features: Tensor = self.end(self.blocks(self.begin(pictures)))
        return features


class CompactEncoder(nn.Module):
    """(B, 3, H, W) colours 0..1 to (B, features, H, W).

    The picture is first freed of what differs between views, see `normalised_picture`; the first three
    channels of the features are that picture, so that even an untrained network compares something.
    """

    stride = 1

    def __init__(self, spec: ImplicitSpec) -> None:
        super().__init__()
        if spec.features <= RAW:
            raise ValueError(f"features: expected more than {RAW}, found {spec.features}")
        pairs = itertools.pairwise((RAW, *spec.widths))
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairs)
        self.end = nn.Conv2d(spec.widths[-1], spec.features - RAW, 1)
        for layer in self.layers:
            nn.init.kaiming_normal_(layer.weight, a=SLOPE)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.reach = AROUND - 1 + len(self.layers)

    def forward(self, pictures: Tensor) -> Tensor:
        clean = normalised_picture(pictures)
        values = clean
        for layer in self.layers:
            values = functional.leaky_relu(layer(values), SLOPE)
        return torch.cat((clean, self.end(values)), dim=1)


def normalised_picture(pictures: Tensor) -> Tensor:
    """(B, 3, H, W): each pixel less the mean of the 9 x 9 around it, over their contrast plus 0.01.

    Gains of a view cancel (but for the 0.01), and so does what varies slowly: shading and soft highlights. Of
    colours 0..1; the contrast is the root of the mean square over window and channels. Beside the picture
    nothing counts.
    """
    centred = pictures - _mean_around(pictures)
    contrast = _mean_around((centred * centred).mean(dim=1, keepdim=True)).clamp(min=1e-12).sqrt()
    return centred / (contrast + FAINT)


def _mean_around(maps: Tensor) -> Tensor:
    return functional.avg_pool2d(maps, AROUND, stride=1, padding=AROUND // 2, count_include_pad=False)


def make_encoder(spec: ImplicitSpec) -> PublishedEncoder | CompactEncoder:
    """The encoder of a network."""
    return PublishedEncoder(spec) if spec.kind == "published" else CompactEncoder(spec)
