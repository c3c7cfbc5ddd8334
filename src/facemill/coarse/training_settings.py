"""Settings of `pack_training` and `train_coarse`; no torch here."""

from typing import Literal

from pydantic import Field, model_validator

from facemill.coarse.settings import CoarseWeights
from facemill.runtime.settings import Settings
from facemill.training.settings import TrainerSettings


class HybridWeights(CoarseWeights):
    """Weights of the self-supervised terms; the defaults are Deep3DFaceRecon's published code.

    The paper prints 1.7e-3 as the albedo's share of the regularisation where the code has 1.7e-2; with the
    common factor 3e-4 that is 5.1e-7 against 5.1e-6. The default is the code's, whose weights were published.
    """

    perceptual: float = Field(0.2, ge=0, description="per 1 - cosine of the identity network's features")


class SupervisedWeights(Settings):
    """Weights of the terms that need the truth; photos without labels do not count in them."""

    shape: float = Field(1.0, ge=0, description="per mm^2 of the neutral shape (see docs/train_coarse.md)")
    strengths: float = Field(0.5, ge=0, description="per squared blendshape strength, summed over the shapes")
    rotation: float = Field(10.0, ge=0, description="per squared radian")
    translation: float = Field(0.05, ge=0, description="per mm^2; a hundredth of it along the optical axis")
    landmarks: float = Field(
        0.01, ge=0, description="per square pixel of the 224 crop, mean over the 68 true landmarks"
    )
    dense_landmarks: float = Field(
        1.0, ge=0, description="per unit of surprise (negative log-likelihood), mean over the dense landmarks"
    )


class ConsistencyWeights(Settings):
    """Multi-view terms between the views of a sitting; the defaults are MGCNet's paper.

    Its released command has the epipolar term at 0, the rest as here.
    """

    share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of each batch that is made of tuples (source, target, source), the rest being "
        "single images; 0: no multi-view terms",
    )
    pixel: float = Field(0.15, ge=0, description="per unit of colour distance of covisible pixels")
    ssim: float = Field(0.0, ge=0, description="per unit of (1 - SSIM) / 2 of covisible pixels")
    depth: float = Field(1e-4, ge=0, description="per mm of depth, compared in the source's camera frame")
    epipolar: float = Field(
        0.001,
        ge=0,
        description="per pixel of the 224 crop between landmarks and epipolar lines (MGCNet's command: 0)",
    )
    epipolar_jaw: bool = Field(
        False,
        description="jaw landmarks count in the epipolar term: right where they are the same points of the "
        "face in all views, as MGCNet's, wrong where they mark the visible outline, as dlib's",
    )


class AugmentationSettings(Settings):
    """What happens to a crop before the network sees it; the defaults are Deep3DFaceRecon's."""

    shift: float = Field(10.0, ge=0, description="largest shift along each axis, px of the 224 crop")
    scale: float = Field(0.1, ge=0, lt=1, description="largest change of the scale")
    rotation: float = Field(10.0, ge=0, le=180, description="largest turn, degrees")
    flip: float = Field(0.5, ge=0, le=1, description="share of crops that are mirrored")
    brightness: float = Field(
        0.0, ge=0, lt=1, description="largest change of the factor and of the offset of the colours"
    )


class PackSettings(Settings):
    """Settings of the rule `pack_training`."""

    reduction: Literal[1, 2, 4, 7, 8] = Field(
        1, description="pixels of the 224 crop per pixel that is stored; train_coarse must ask for no less"
    )


class NetworkSettings(Settings):
    """The network."""

    backbone: Literal["resnet18", "resnet34", "resnet50"] = Field("resnet50", description="residual network")
    width: int = Field(
        64, ge=8, description="channels of its first stage: 64 as published, 32 has a quarter of the work"
    )
    single_layer: bool = Field(False, description="one fully connected layer in place of the seven heads")
    reduction: Literal[1, 2, 4, 7, 8] = Field(
        1, description="pixels of the 224 crop per pixel that the network sees (published: 1)"
    )
    colors: Literal["rgb", "bgr255"] = Field(
        "rgb",
        description="rgb: 0..1 as Deep3DFaceRecon_pytorch; bgr255: 0..255 as its TensorFlow version",
    )
    light: Literal["rgb", "white"] = Field(
        "rgb", description="white: one light for the three colours, as the paper has it; rgb as the code"
    )
    dense_landmarks: bool = Field(
        False,
        description="predict the pixels of some 320 points of the face too, and how sure they are; needs "
        "synthetic sets, and lets reconstruct_coarse refine with them",
    )


class TrainSettings(TrainerSettings):
    """Settings of the rule `train_coarse`."""

    train: tuple[str, ...] = Field(
        (), description="sets to train on: names of photo sets and of synthetic sets, mixed image by image"
    )
    validation: tuple[str, ...] = Field(
        (),
        description="sets to validate on; empty: the share of split_dataset that is held out of `train`. Of "
        "sets that are also in `train` only what is held out counts, or all of it when else none is left",
    )
    network: NetworkSettings = NetworkSettings()
    start: str = Field(
        "",
        description="weights to start from: .safetensors of ours, epoch_*.pth, or a backbone of torchvision; "
        "empty: random",
    )
    camera_distance: float = Field(
        1000.0,
        ge=200,
        le=10_000,
        description="from the camera of the crop to the head, mm; the network remembers it; labels of "
        "synthetic sets are about 1000; 4630.5 has MGCNet's focal length of 4700 px",
    )
    hybrid: HybridWeights = HybridWeights()
    supervised: SupervisedWeights = SupervisedWeights()
    consistency: ConsistencyWeights = ConsistencyWeights()
    augmentation: AugmentationSettings = AugmentationSettings()
    identity_network: str = Field(
        "resources/weights/identity.safetensors",
        description="of the perceptual term: the shipped one, or ArcFace's backbone.pth",
    )
    rendered_share: float = Field(
        1.0,
        ge=0,
        le=1,
        description="share of each batch that is rendered for the self-supervised terms; 0: supervised only",
    )
    landmark_convention: Literal["dlib68", "model"] = Field(
        "dlib68", description="whose 68 points photos have, as in reconstruct_coarse"
    )
    strength_deviation: float = Field(
        0.5, gt=0, description="standard deviation of a blendshape's strength in the expression term"
    )
    freeze_norms: bool = Field(
        False,
        description="keep the statistics of the batch norms of `start`: for fine-tuning with small batches",
    )
    protocol_images: int = Field(
        40,
        ge=0,
        description="of them, with labels: scored by NoW's protocol too (0.3 s each); 0: none",
    )

    @property
    def tuples_per_step(self) -> int:
        """Tuples of three views in each batch, over all processes."""
        share = self.consistency.share
        return max(1, min(self.batch // 3, round(self.batch * share / 3))) if share > 0 else 0

    @model_validator(mode="after")
    def _has_room_for_tuples(self) -> "TrainSettings":
        world, tuples = self.processes * self.nodes, self.tuples_per_step
        if tuples and (self.batch < 3 or tuples % world or (self.batch - 3 * tuples) % world):
            raise ValueError(
                f"consistency.share: {tuples} tuples of 3 and {self.batch - 3 * tuples} single images a step "
                f"cannot be shared by {world} processes; choose batch as a multiple of {3 * world}"
            )
        return self
