"""C-Net (Deng et al. 2019): how much each photo of a person is worth, coefficient by coefficient."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from facemill.coarse.networks.coarse_network import CoarseNetwork, network_pictures
from facemill.coarse.networks.resnet import EXPANSION, LAYOUTS
from facemill.formats.checkpoints import read_weights, write_weights
from facemill.runtime.errors import FormatError

FORMAT = "facemill-confidence-network-1"
BOUND = 3.0  # confidences lie within exp(-3) .. exp(3): no photo is ever worth nothing


class ConfidenceNetwork(nn.Module):
    """Positive confidences from what R-Net saw at its first and at its last stage.

    The paper tells of shallow and deep features, a positive output and 0.92 million parameters; its code was
    never released, so the layers are ours. All confidences begin at 1: the first aggregate is the plain mean.

    Args:
        shallow, deep: channels of the maps of R-Net's first and last stage.
        outputs: confidences per photo.
        channels: of the squeezed shallow maps; the deep ones get twice as many.
    """

    def __init__(self, shallow: int, deep: int, outputs: int, channels: int = 64) -> None:
        super().__init__()
        self.outputs, self.channels = outputs, channels
        self.shallow = nn.Sequential(
            nn.Conv2d(shallow, channels, 3, 2, 1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, 2, 1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, 2, 1),
            nn.ReLU(),
        )
        self.deep = nn.Sequential(nn.Conv2d(deep, 2 * channels, 1), nn.ReLU())
        self.mixed = nn.Sequential(nn.Conv2d(3 * channels, 4 * channels, 3, 1, 1), nn.ReLU())
        self.last = nn.Linear(4 * channels, outputs)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, first: Tensor, last: Tensor) -> Tensor:
        """Maps (B, shallow, H/4, W/4) and (B, deep, H/32, W/32) -> confidences (B, outputs), around 1."""
        squeezed = adaptive_avg_pool2d(self.shallow(first), (last.shape[2], last.shape[3]))
        mixed = self.mixed(torch.cat((squeezed, self.deep(last)), dim=1))
        numbers = self.last(mixed.mean((2, 3)))
        return (BOUND * torch.tanh(numbers / BOUND)).exp()


class ImageSetNetwork(nn.Module):
    """R-Net, which stays as it is, and C-Net on top: photos of one person get one identity and one albedo.

    Args:
        network: R-Net, of which nothing is trained.
        confidence: C-Net, for its identity and albedo coefficients.
        photos: of a person, which follow one another in a batch.
    """

    def __init__(self, network: CoarseNetwork, confidence: ConfidenceNetwork, photos: int) -> None:
        super().__init__()
        spec = network.spec
        if confidence.outputs != spec.identity + spec.albedo:
            raise ValueError(
                f"confidence: expected {spec.identity + spec.albedo} outputs, found {confidence.outputs}"
            )
        self.spec, self.photos = spec, photos
        self.network = network.requires_grad_(False)
        self.confidence = confidence

    def train(self, mode: bool = True) -> ImageSetNetwork:
        """As usual, but the norms of R-Net keep their statistics."""
        super().train(mode)
        self.network.eval()
        return self

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures (P * photos, 3, side, side) -> numbers as `CoarseNetwork` gives them, identity and albedo
        being the confidence-weighted means over each person's photos."""
        with torch.no_grad():
            stages = self.network.stages(pictures)
            numbers = self.network.numbers(stages[-1])
        confidence = self.confidence(stages[0], stages[-1])
        return aggregated(numbers, confidence.to(numbers.dtype), self.photos, self.spec.widths[:3])


AnyNetwork = CoarseNetwork | ImageSetNetwork  # what the trainer trains


def aggregated(numbers: Tensor, confidence: Tensor, photos: int, widths: tuple[int, ...]) -> Tensor:
    """Numbers (P * photos, N) whose identity and albedo are weighted means of each person's photos.

    Args:
        confidence: (P * photos, identity + albedo), positive.
        widths: of identity, expression and albedo, the first numbers.
    """
    identity, _, albedo = widths
    parts = list(numbers.split((*widths, numbers.shape[1] - sum(widths)), dim=1))
    for place, weights in zip((0, 2), confidence.split((identity, albedo), dim=1), strict=True):
        values = parts[place].unflatten(0, (-1, photos))
        shares = weights.unflatten(0, (-1, photos))
        mean = (shares * values).sum(1, keepdim=True) / shares.sum(1, keepdim=True)
        parts[place] = mean.expand(-1, photos, -1).flatten(0, 1)
    return torch.cat(parts, dim=1)


def confidence_network_for(network: CoarseNetwork, channels: int = 64) -> ConfidenceNetwork:
    """A fresh C-Net for the features and the coefficients of `network`."""
    spec = network.spec
    shallow = spec.width * (EXPANSION if LAYOUTS[spec.backbone].bottleneck else 1)
    return ConfidenceNetwork(shallow, network.backbone.features, spec.identity + spec.albedo, channels)


class ConfidencePredictor:
    """Confidences of photos as the stages use them: crops in, weights of identity and albedo out."""

    def __init__(self, network: CoarseNetwork, confidence: ConfidenceNetwork) -> None:
        self.network, self.confidence = network.eval(), confidence.eval()

    def __call__(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Crops (B, 224, 224, 3), 0..1 -> confidences of the identity (B, K) and of the albedo (B, A)."""
        spec = self.network.spec
        with torch.inference_mode():
            stages = self.network.stages(network_pictures(crops.float(), spec).contiguous())
            found = self.confidence(stages[0], stages[-1])
        identity, albedo = found.split((spec.identity, spec.albedo), dim=1)
        return identity, albedo


def save_confidence(
    path: str | Path,
    confidence: ConfidenceNetwork,
    model: str,
    network_digest: str,
    notes: Mapping[str, str] | None = None,
) -> None:
    """Write weights as float16 safetensors.

    Args:
        network_digest: of the R-Net weights whose features it reads; with others it says nothing.
    """
    header = {"format": FORMAT, "model": model, "network": network_digest, **(notes or {})}
    header |= {"channels": str(confidence.channels), "outputs": str(confidence.outputs)}
    write_weights(path, confidence.state_dict(), header, half=True)


def load_confidence(path: str | Path, network: CoarseNetwork, network_digest: str) -> ConfidenceNetwork:
    """Read the C-Net of an R-Net; in evaluation mode, float32 on the CPU.

    Raises:
        FormatError: missing, not whole, or trained on top of another R-Net.
    """
    weights, header = read_weights(path, FORMAT)
    if header.get("network") != network_digest:
        raise FormatError(
            f"{path} was trained on top of another network",
            f"a confidence network for the weights {network_digest}",
            f"one for the weights {header.get('network', '(unnamed)')}",
            "train it again with train_image_set, or give the network that it belongs to",
        )
    try:
        confidence = confidence_network_for(network, int(header.get("channels", "")))
        confidence.load_state_dict(weights)
    except (ValueError, RuntimeError) as error:
        raise FormatError(
            f"{path} does not fit the network",
            "the tensors of a confidence network",
            str(error).splitlines()[0],
            "write it again with this version",
        ) from error
    return confidence.eval()
