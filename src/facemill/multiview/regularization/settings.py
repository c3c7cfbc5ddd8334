"""Settings of `regularize_surface` and `train_regularizer`; no torch here."""

from typing import Literal

from pydantic import Field, field_validator

from facemill.runtime.settings import Settings
from facemill.training.settings import ShortTrainerSettings


class SurfaceSettings(Settings):
    """The classical regularisation: robust matches against bending and the base mesh."""

    smoothness: float = Field(
        6.0, gt=0, description="mm: length of the wave of displacement that certain matches everywhere halve"
    )
    outlier: float = Field(
        0.3, gt=0, description="mm from the surface at which a match counts a quarter (Geman-McClure)"
    )
    pull: float = Field(
        0.03,
        gt=0,
        description="what the base mesh counts where it deviates by 0.2 mm, against 1 of a certain match",
    )
    rounds: int = Field(2, ge=1, description="rounds of reweighting at `outlier`, after two wider ones")


class MatchChoice(Settings):
    """Whose matches make the surface."""

    matcher: Literal["implicit", "classical"] = Field(
        "implicit",
        description="whose matches are taken: those of the network (predict_implicit) or of zero-mean NCC "
        "(match_surface)",
    )
    fallback: bool = Field(
        True, description="where `matcher` says nothing or is unsure, take the other one's matches"
    )
    least_confidence: float = Field(
        0.3, ge=0, le=1, description="confidence of `matcher` below which the other's counts if it is surer"
    )


class RegularizeSurfaceSettings(MatchChoice):
    """Settings of the rule `regularize_surface`."""

    regularizer: Literal["network", "classical"] = Field(
        "network",
        description="network: the 3D U-Net refines the classical surface; without weights that stays",
    )
    network: str | None = Field(
        None, description="weights of train_regularizer; null: those that ship; empty: none"
    )
    surface: SurfaceSettings = SurfaceSettings()


class RegularizerNetworkSettings(Settings):
    """The network."""

    kind: Literal["compact", "published"] = Field(
        "compact",
        description="compact: a narrow band about the classical surface; published: the dense volume about "
        "the base mesh",
    )
    samples: int | None = Field(
        None, ge=3, description="places of the band; null: 16 (compact: a multiple of 4), 201 (published)"
    )
    step: float | None = Field(None, gt=0, description="mm between them; null: 0.07, or 0.2 (published)")
    widths: tuple[int, int, int] | None = Field(
        None, description="channels of the three levels; null: 12, 24, 32, or 1, 2, 4 (published)"
    )

    @field_validator("widths")
    @classmethod
    def _positive(cls, value: tuple[int, int, int] | None) -> tuple[int, int, int] | None:
        if value is not None and min(value) < 1:
            raise ValueError(f"expected positive numbers, found {value}")
        return value


class RegularizerWeights(Settings):
    """Weights of the robust loss."""

    displacement: float = Field(1.0, ge=0, description="per 0.05 mm of mean distance; squares below (Huber)")
    slope: float = Field(
        40.0, ge=0, description="per unit of slope, about a radian of the normals; squares below 0.3"
    )
    surprise: float = Field(
        0.1, ge=0, description="per unit of surprise (Laplace's negative log-likelihood): the confidence"
    )


class RegularizerAugmentationSettings(Settings):
    """What happens to a patch before the network sees it."""

    flip: float = Field(0.5, ge=0, le=1, description="share of patches that are mirrored")
    start_error: float = Field(
        0.02,
        ge=0,
        description="mm: largest standard deviation of smooth error added to the classical surface",
    )
    noise: float = Field(0.03, ge=0, description="largest standard deviation of noise on scores")
    erased: float = Field(
        0.1, ge=0, le=1, description="share of patches of which a rectangle has no scores and no matches"
    )


class TrainRegularizerSettings(ShortTrainerSettings):
    """Settings of the rule `train_regularizer`."""

    train: tuple[str, ...] = Field((), description="names of `captures` to train on; they need scans")
    validation: tuple[str, ...] = Field((), description="names of `captures` to validate on")
    start: str = Field("", description="weights to start from, .safetensors of ours; empty: random")
    network: RegularizerNetworkSettings = RegularizerNetworkSettings()
    loss: Literal["robust", "published"] = Field(
        "robust", description="published: the mean square of the error, in steps of the band"
    )
    weights: RegularizerWeights = RegularizerWeights()
    augmentation: RegularizerAugmentationSettings = RegularizerAugmentationSettings()
    surface: SurfaceSettings = SurfaceSettings()
    choice: MatchChoice = MatchChoice()
    patch: int = Field(64, ge=8, multiple_of=4, description="texels along a side of a patch")
    patches: int = Field(64, ge=1, description="patches per capture and epoch")
    batch: int = Field(4, ge=1, description="patches per step over all processes")
    epochs: float = Field(10.0, gt=0, description="passes over `patches` of each capture")
    learning_rate: float = Field(2e-3, gt=0, description="of Adam, at the start (published: 1e-4)")
    warmup_steps: int = Field(30, ge=0, description="steps over which the rate rises from 0")
    validation_images: int = Field(4, ge=1, description="captures per validation")
    pictures: int = Field(2, ge=0, le=16, description="captures drawn at each validation")
