"""R-Net (Deng et al. 2019): one crop in, all coefficients of the face out."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from facemill.coarse.networks.dense_head import DenseHead, dense_landmarks_of
from facemill.coarse.networks.resnet import STANDARD_WIDTH, STRIDE, ResNet, fold_norms
from facemill.geometry.camera import DEEP3D_DISTANCE, DEEP3D_SIZE
from facemill.models.coefficients import Coefficients
from facemill.models.morphable import MorphableModel

MILLIMETRES_PER_UNIT = 100.0  # the network speaks decimetres, as Deep3DFaceRecon's does
POSE_WIDTHS = (3, 27, 2, 1)  # angle, gamma, tx and ty, tz


@dataclass(frozen=True)
class NetworkSpec:
    """All that must be known to build a network and to read its output.

    Attributes:
        identity, expression, albedo: numbers of the first three heads.
        strengths: the expression head speaks of strengths 0..1 of the model's blendshapes, not of its
            expression coefficients.
        backbone, width: as in `ResNet`.
        single_layer: one fully connected layer `fc` in place of the seven heads.
        reduction: pixels of the 224 crop per pixel that the network sees; 1 is the published network.
        colors: `rgb`, 0..1 as Deep3DFaceRecon_pytorch takes them, or `bgr255`, 0..255 as the TensorFlow
            version does. Neither is normalised by mean and deviation.
        light: `rgb`, nine harmonics for each colour, or `white`, their mean for all (the paper's variant).
        dense_vertices: ids of the model's vertices whose pixels a further head predicts; none as published.
        camera_distance: mm of the crop camera that its poses are about; Deep3D's as published.
    """

    identity: int
    expression: int
    albedo: int
    strengths: bool = False
    backbone: str = "resnet50"
    width: int = STANDARD_WIDTH
    single_layer: bool = False
    reduction: int = 1
    colors: Literal["rgb", "bgr255"] = "rgb"
    light: Literal["rgb", "white"] = "rgb"
    dense_vertices: tuple[int, ...] = ()
    camera_distance: float = DEEP3D_DISTANCE

    def __post_init__(self) -> None:
        if self.reduction < 1 or DEEP3D_SIZE % self.reduction:
            raise ValueError(f"reduction: expected a divisor of {DEEP3D_SIZE}, found {self.reduction}")
        if self.colors not in ("rgb", "bgr255"):
            raise ValueError(f"colors: expected rgb or bgr255, found {self.colors!r}")
        if self.light not in ("rgb", "white"):
            raise ValueError(f"light: expected rgb or white, found {self.light!r}")

    @property
    def widths(self) -> tuple[int, ...]:
        """Numbers of the seven heads: id, exp, tex, angle, gamma, tx and ty, tz."""
        return (self.identity, self.expression, self.albedo, *POSE_WIDTHS)

    @property
    def outputs(self) -> int:
        """All numbers that the network gives."""
        return sum(self.widths) + 3 * len(self.dense_vertices)

    @property
    def side(self) -> int:
        """Pixels along each side of the picture that the network sees."""
        return DEEP3D_SIZE // self.reduction

    def as_text(self) -> dict[str, str]:
        """Every attribute as text, for the header of a weights file."""
        return {name: str(value) for name, value in asdict(self).items()}

    @staticmethod
    def from_text(header: dict[str, str]) -> NetworkSpec:
        """Raises KeyError or ValueError where the header does not describe a network."""
        return NetworkSpec(
            identity=int(header["identity"]),
            expression=int(header["expression"]),
            albedo=int(header["albedo"]),
            strengths=header["strengths"] == "True",
            backbone=header["backbone"],
            width=int(header["width"]),
            single_layer=header["single_layer"] == "True",
            reduction=int(header["reduction"]),
            colors=header["colors"],  # type: ignore[arg-type]  # checked by NetworkSpec
            light=header["light"],  # type: ignore[arg-type]
            dense_vertices=tuple(int(text) for text in re.findall(r"\d+", header["dense_vertices"])),
            camera_distance=float(header.get("camera_distance", DEEP3D_DISTANCE)),
        )


DEEP3D_SPEC = NetworkSpec(80, 64, 80)


def spec_for(model: MorphableModel, **choices: Any) -> NetworkSpec:
    """The network for `model`: blendshape strengths where the model names blendshapes.

    Args:
        choices: further attributes of `NetworkSpec`.
    """
    strengths = len(model.blendshape_names)
    return NetworkSpec(
        model.identity_count,
        strengths or model.expression_count,
        model.albedo_count,
        strengths=bool(strengths),
        **choices,
    )


class CoarseNetwork(nn.Module):
    """R-Net: a residual network, its global mean, and seven 1 x 1 convolutions on top.

    The heads begin at zero, so that the first prediction is the mean face in the middle of the crop; without
    that, training falls back to the mean face and stays there (Deng's answers to users). State-dict names are
    those of Deep3DFaceRecon_pytorch: `backbone.*` and `final_layers.0` … `final_layers.6`.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        total = sum(spec.widths)
        self.backbone = ResNet(spec.backbone, spec.width, total if spec.single_layer else 0)
        self.final_layers: nn.ModuleList | None = None
        if not spec.single_layer:
            features = self.backbone.features
            self.final_layers = nn.ModuleList(nn.Conv2d(features, width, 1) for width in spec.widths)
        heads = self.backbone.fc if self.final_layers is None else self.final_layers
        assert heads is not None
        for parameter in heads.parameters():
            nn.init.zeros_(parameter)
        self.dense_head: DenseHead | None = None
        if spec.dense_vertices:
            side = -(-spec.side // STRIDE)
            self.dense_head = DenseHead(self.backbone.features, side, len(spec.dense_vertices))

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures (B, 3, side, side), RGB 0..1 -> numbers (B, `spec.outputs`)."""
        return self.numbers(self.stages(pictures)[-1])

    def stages(self, pictures: Tensor) -> list[Tensor]:
        """Feature maps of the four stages of the backbone."""
        if self.spec.colors == "bgr255":
            pictures = 255 * pictures.flip(1)
        return self.backbone.stages(pictures)

    def numbers(self, maps: Tensor) -> Tensor:
        """What the heads say of the maps of the last stage: (B, `spec.outputs`)."""
        numbers = self.backbone.pooled(maps)
        if self.final_layers is not None:
            numbers = torch.cat([head(numbers) for head in self.final_layers], dim=1).flatten(1)
        if self.dense_head is None:
            return numbers
        return torch.cat((numbers, self.dense_head(maps)), dim=1)

    def folded(self) -> CoarseNetwork:
        """A copy for inference whose norms are part of its convolutions; same output, less work."""
        copy = CoarseNetwork(self.spec)
        copy.load_state_dict(self.state_dict())
        copy.to(next(self.parameters())).eval().requires_grad_(False)
        fold_norms(copy)
        return copy


def network_pictures(crops: Tensor, spec: NetworkSpec) -> Tensor:
    """Crops (B, 224, 224, 3), 0..1, as the network takes them: (B, 3, side, side), blocks averaged."""
    pictures = crops.permute(0, 3, 1, 2)
    return avg_pool2d(pictures, spec.reduction) if spec.reduction > 1 else pictures


@dataclass(frozen=True)
class Prediction:
    """The numbers of a network, named; B faces.

    Attributes:
        identity, albedo: (B, K), (B, A) standard deviations.
        expression: (B, S) strengths of blendshapes, not yet held to 0..1, or (B, E) standard deviations.
        rotation: (B, 3) radians; lighting: (B, 27); translation: (B, 3) millimetres.
        dense: (B, N, 2) pixels of the 224 crop of `spec.dense_vertices`; dense_deviation: (B, N) pixels.
    """

    identity: Tensor
    expression: Tensor
    albedo: Tensor
    rotation: Tensor
    lighting: Tensor
    translation: Tensor
    dense: Tensor
    dense_deviation: Tensor


def prediction_of(numbers: Tensor, spec: NetworkSpec) -> Prediction:
    """Name the numbers (B, N) of a network.

    Their order is id, exp, tex, angle, gamma (9 of red, green, blue), tx ty, tz, dense landmarks. Angles and
    lighting are ours (Deep3D's); translation comes in decimetres.

    Raises:
        ValueError: another count of numbers.
    """
    if numbers.ndim != 2 or numbers.shape[1] != spec.outputs:
        raise ValueError(f"numbers: expected (B, {spec.outputs}), found {tuple(numbers.shape)}")
    widths = (*spec.widths, 3 * len(spec.dense_vertices))
    identity, expression, albedo, rotation, lighting, across, along, dense = numbers.split(widths, dim=1)
    translation = MILLIMETRES_PER_UNIT * torch.cat((across, along), dim=1)
    return Prediction(
        identity, expression, albedo, rotation, lighting, translation, *dense_landmarks_of(dense)
    )


def unknowns_of(prediction: Prediction, spec: NetworkSpec) -> Coefficients:
    """A prediction as `Coefficients` whose expression is what the network speaks of; differentiable.

    Strengths are held to 0..1 by `bounded`; white light is the mean over the colours.
    """
    lighting = prediction.lighting
    if spec.light == "white":
        lighting = lighting.unflatten(1, (3, 9)).mean(1, keepdim=True).expand(-1, 3, -1).flatten(1)
    return Coefficients(
        prediction.identity,
        bounded(prediction.expression) if spec.strengths else prediction.expression,
        prediction.albedo,
        prediction.rotation,
        prediction.translation,
        lighting,
    )


def coefficients_of(prediction: Prediction, spec: NetworkSpec, model: MorphableModel) -> Coefficients:
    """Coefficients of `model`, differentiable."""
    found = unknowns_of(prediction, spec)
    if not spec.strengths:
        return found
    return replace(found, expression=found.expression @ model.blendshape_coefficients.to(found.expression))


class _Bounded(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        context.save_for_backward(x)
        return x.clamp(0, 1)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        (x,), (gradient,) = context.saved_tensors, gradients
        outward = ((x <= 0) & (gradient > 0)) | ((x >= 1) & (gradient < 0))
        return gradient.masked_fill(outward, 0)


def bounded(x: Tensor) -> Tensor:
    """x held to 0..1, with the gradient that leads back inside and without the one that leads further out.

    A plain clamp has no gradient at its bounds, and strengths begin at 0.

    >>> x = torch.tensor([-0.5, 0.25, 2.0], requires_grad=True)
    >>> bounded(x).tolist()
    [0.0, 0.25, 1.0]
    """
    return _Bounded.apply(x)
