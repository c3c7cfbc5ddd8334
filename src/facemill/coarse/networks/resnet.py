"""Residual networks (He et al. 2016) whose parameters bear torchvision's names.

torchvision cannot be installed beside the CPU build of torch; its ImageNet weights, and all networks that
were made from it (Deep3DFaceRecon's among them), load here because every parameter has the name that
torchvision gives it: `conv1`, `bn1`, `layer1.0.conv1`, …, `layer2.0.downsample.0`, `fc`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

Depth = Literal["resnet18", "resnet34", "resnet50"]


@dataclass(frozen=True)
class Layout:
    """Residual blocks in each of the four stages, and whether they are bottlenecks."""

    blocks: tuple[int, int, int, int]
    bottleneck: bool


LAYOUTS: dict[str, Layout] = {
    "resnet18": Layout((2, 2, 2, 2), bottleneck=False),
    "resnet34": Layout((3, 4, 6, 3), bottleneck=False),
    "resnet50": Layout((3, 4, 6, 3), bottleneck=True),
}
STANDARD_WIDTH = 64
STRIDE = 32  # pixels of the picture per value of the last feature maps
EXPANSION = 4  # channels that leave a bottleneck, per channel inside it


class BasicBlock(nn.Module):
    """relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x)), 3 x 3 each; the stride is in the first."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(before, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) -> (B, width, H / stride, W / stride)."""
        inner = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        return relu(inner + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3, 1 x 1 with the stride in the 3 x 3 (torchvision's "v1.5", not the 2016 paper's place)."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, EXPANSION * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(EXPANSION * width)
        self.downsample = _shortcut(before, EXPANSION * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) -> (B, 4 width, H / stride, W / stride)."""
        inner = relu(self.bn1(self.conv1(x)))
        inner = self.bn3(self.conv3(relu(self.bn2(self.conv2(inner)))))
        return relu(inner + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """Pictures (B, 3, H, W) -> features (B, `features`, 1, 1), or numbers (B, `outputs`) of a last layer.

    Args:
        depth: resnet18, resnet34 or resnet50.
        width: channels of the first stage; 64 is the published network, 32 has a quarter of its work.
        outputs: of the fully connected layer `fc`; 0 for none.
    """

    def __init__(self, depth: str, width: int = STANDARD_WIDTH, outputs: int = 0) -> None:
        super().__init__()
        if depth not in LAYOUTS:
            raise ValueError(f"depth: expected one of {', '.join(LAYOUTS)}, found {depth!r}")
        layout = LAYOUTS[depth]
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        before = width
        for stage, count in enumerate(layout.blocks):
            block = Bottleneck if layout.bottleneck else BasicBlock
            inner = width * 2**stage
            after = inner * (EXPANSION if layout.bottleneck else 1)
            blocks = [
                block(before if number == 0 else after, inner, 2 if stage and number == 0 else 1)
                for number in range(count)
            ]
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
            before = after
        self.features = before
        self.fc: nn.Module | None = nn.Linear(before, outputs) if outputs else None
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def stages(self, pictures: Tensor) -> list[Tensor]:
        """Pictures (B, 3, H, W) -> feature maps of the four stages, H / 4 to H / 32 high, rounded up."""
        x = relu(self.bn1(self.conv1(pictures)))
        x = torch.nn.functional.max_pool2d(x, 3, 2, 1)
        found = []
        for stage in range(4):
            x = self.get_submodule(f"layer{stage + 1}")(x)
            found.append(x)
        return found

    def maps(self, pictures: Tensor) -> Tensor:
        """The feature maps of the last stage, (B, `features`, H / 32, W / 32)."""
        return self.stages(pictures)[-1]

    def pooled(self, maps: Tensor) -> Tensor:
        """The mean of feature maps over the picture, or what the last layer makes of it."""
        x = maps.mean((2, 3), keepdim=True)
        return x if self.fc is None else self.fc(x.flatten(1))

    def forward(self, pictures: Tensor) -> Tensor:
        """See the class."""
        return self.pooled(self.maps(pictures))


def fold_norms(network: nn.Module) -> None:
    """Merge each batch norm into the convolution before it, in place; for inference, output unchanged.

    w' = w g / sqrt(v + e), b' = beta - m g / sqrt(v + e) + b g / sqrt(v + e) with the running mean m and
    variance v. A norm follows its convolution under the next name (`conv1`/`bn1`, `downsample.0`/`.1`) and
    becomes the identity.
    """
    for parent in list(network.modules()):
        for name, convolution in list(parent.named_children()):
            after = "1" if name == "0" else name.replace("conv", "bn")
            norm = dict(parent.named_children()).get(after)
            if not isinstance(convolution, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d):
                continue
            setattr(parent, name, _folded(convolution, norm))
            setattr(parent, after, nn.Identity())


def _folded(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("a batch norm without running statistics cannot be folded")
    factor = norm.weight / (norm.running_var + norm.eps).sqrt()
    folded = nn.Conv2d(
        convolution.in_channels,
        convolution.out_channels,
        _pair(convolution.kernel_size),
        _pair(convolution.stride),
        _pair(convolution.padding),
        bias=True,
    ).to(convolution.weight)
    bias = torch.zeros_like(norm.bias) if convolution.bias is None else convolution.bias
    with torch.no_grad():
        folded.weight.copy_(convolution.weight * factor[:, None, None, None])
        assert folded.bias is not None
        folded.bias.copy_(norm.bias + (bias - norm.running_mean) * factor)
    return folded.eval()


def _pair(value: object) -> tuple[int, int]:
    if not (isinstance(value, tuple) and len(value) == 2):
        raise ValueError(f"expected two numbers, found {value!r}")
    return value


def _shortcut(before: int, after: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and before == after:
        return None
    return nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
