"""Settings of `pack_detail` and `train_detail`; no torch here."""

from typing import Literal

from pydantic import Field, field_validator

from facemill.runtime.settings import Settings
from facemill.training.settings import LevelWidths, ShortTrainerSettings


class PackDetailSettings(Settings):
    """Settings of the rule `pack_detail`."""

    size: Literal[256, 512, 1024] = Field(
        512, description="texels along each side of the atlas: 512 is 0.57 mm a texel on the embedded head"
    )


class DetailNetworkSettings(Settings):
    """The network."""

    kind: Literal["detail", "original"] = Field(
        "detail",
        description="detail: ours; original: the unsupervised detail layer's (needs objective: published or "
        "labels; says nothing of its confidence)",
    )
    widths: LevelWidths = Field(
        (24, 36, 48, 64, 96),
        description="channels of the levels of kind detail, finest first; 2 to 5 levels",
    )
    limit: float = Field(
        2.0, gt=0, le=3, description="largest displacement, mm (the original's tanh stands for 1 mm)"
    )


class DetailSupervisedWeights(Settings):
    """Weights of the terms that need the true displacement; other photos do not count in them."""

    surprise: float = Field(
        0.2, ge=0, description="per unit of surprise (Laplace's negative log-likelihood), kind detail"
    )
    displacement: float = Field(
        20.0, ge=0, description="per mm of mean distance, squares below 0.3 mm (Huber's function)"
    )
    normals: float = Field(
        40.0, ge=0, description="per unit of slope, about a radian of the normals; squares below 0.3"
    )
    finer_than: float = Field(
        4.0,
        ge=0,
        description="the truth is displacement less its mean around, mm (standard deviation of the square "
        "means): unevenness of centimetres is too faint for any photo to show; 1 or more, or 0: all of it",
    )
    least_weight: float = Field(
        0.1,
        ge=0,
        le=1,
        description="what texels without evidence count: there the network learns that it does not know",
    )

    @field_validator("finer_than")
    @classmethod
    def _reaches_neighbours(cls, value: float) -> float:
        if 0 < value < 1:  # the mean would be of the texel alone, and nothing would be asked for
            raise ValueError(f"expected 0 or 1 mm and more, found {value:g}")
        return value


class ShadingWeights(Settings):
    """Weights of the terms without labels, in the atlas; photos with labels do not count in them."""

    shading: float = Field(
        2.0, ge=0, description="per unit of colour distance (0..1) at displaced normals, smooth ratio aside"
    )
    window: int = Field(
        49, ge=3, description="texels along the square within which the ratio to the photo is smooth; odd"
    )
    magnitude: float = Field(2.0, ge=0, description="per mm^2 of mean squared displacement")
    variation: float = Field(20.0, ge=0, description="per mm^2 of squared differences of texels that touch")

    @field_validator("window")
    @classmethod
    def _is_odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(f"expected an odd number, found {value}")
        return value


class PublishedWeights(Settings):
    """Weights of the unsupervised detail layer's loss; the defaults are those of its training command."""

    photometric: float = Field(1.0, ge=0, description="per unit of colour distance, colours 0..255, on skin")
    displacement: float = Field(
        1e-3, ge=0, description="per mm^2 of mean squared displacement + 2 x squared change of depth"
    )
    off_limits: float = Field(
        2e-3, ge=0, description="per mm^2 of mean squared displacement on brows, eyes and the nose"
    )
    normals: float = Field(1e-3, ge=0, description="per squared change of normals")
    position_roughness: float = Field(1.0, ge=0, description="per mm^2 of the Laplacian of positions")
    normal_roughness: float = Field(1.0, ge=0, description="per unit of the Laplacian of normals")
    triangle_roughness: float = Field(
        1.0, ge=0, description="per squared difference of normals of triangles that touch"
    )
    variation: float = Field(0.01, ge=0, description="per mm^2 of squared differences of texels that touch")


class DetailAugmentationSettings(Settings):
    """What happens to a photo in the atlas before the network sees it."""

    gain: float = Field(
        0.2, ge=0, lt=1, description="largest change of the factor of the colours (published)"
    )
    flip: float = Field(
        0.5, ge=0, le=1, description="share of faces that are mirrored, where the atlas is symmetric"
    )
    degraded: float = Field(
        0.4, ge=0, le=1, description="share of photos that are blurred, noisy or blocky: the truth stays"
    )
    blur: float = Field(3.0, ge=0, description="largest standard deviation of the blur, texels")
    noise: float = Field(0.05, ge=0, description="largest standard deviation of the noise, colours 0..1")
    blocks: float = Field(
        0.06, ge=0, description="largest contrast within blocks of 8 texels that is lost, as in bad JPEGs"
    )
    erased: float = Field(0.3, ge=0, le=1, description="share of faces of which a part is hidden")


class TrainDetailSettings(ShortTrainerSettings):
    """Settings of the rule `train_detail`."""

    train: tuple[str, ...] = Field(
        (), description="sets to train on: names of photo sets and of synthetic sets, mixed image by image"
    )
    validation: tuple[str, ...] = Field(
        (),
        description="sets to validate on; empty: the share of split_dataset that is held out of `train`. Of "
        "sets that are also in `train` only what is held out counts, or all of it when else none is left",
    )
    network: DetailNetworkSettings = DetailNetworkSettings()
    start: str = Field("", description="weights to start from, .safetensors of ours; empty: random")
    objective: Literal["default", "published"] = Field(
        "default",
        description="default: labels where there are any, shading in the atlas elsewhere; published: the "
        "unsupervised detail layer's whole loss, rendered at the 224 crop, for all photos",
    )
    supervised: DetailSupervisedWeights = DetailSupervisedWeights()
    unsupervised: ShadingWeights = ShadingWeights()
    published: PublishedWeights = PublishedWeights()
    augmentation: DetailAugmentationSettings = DetailAugmentationSettings()
    batch: int = Field(2, ge=1, description="faces per step over all processes")
    learning_rate: float = Field(5e-4, gt=0, description="of Adam, at the start (the original: 1e-5)")
    validation_images: int = Field(64, ge=1, description="faces per validation, evenly over the sets")
