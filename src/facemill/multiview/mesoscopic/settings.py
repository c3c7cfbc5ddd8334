"""Settings of `train_mesoscopic` and `predict_mesoscopic`; no torch here."""

from typing import Literal

from pydantic import Field

from facemill.runtime.settings import Settings
from facemill.training.settings import LevelWidths, ShortTrainerSettings


class MesoscopicNetworkSettings(Settings):
    """The network."""

    kind: Literal["compact", "published"] = Field(
        "compact",
        description="compact: ours, reads the texture and the regularised surface, says how sure it is; "
        "published: MVFR's, the global generator of pix2pixHD, reads the texture alone",
    )
    limit: float = Field(
        0.914, gt=0, le=3, description="largest relief, mm (0.914: that of FaceScape's displacement maps)"
    )
    widths: LevelWidths = Field(
        (24, 36, 48, 64),
        description="channels of the levels of kind compact, from half of the resolution; 2 to 5 levels",
    )
    base_width: int = Field(64, ge=1, description="channels of the first layer of kind published (ngf)")
    halvings: int = Field(4, ge=1, le=6, description="levels of kind published")
    blocks: int = Field(9, ge=1, description="residual blocks of kind published")


class MesoscopicWeights(Settings):
    """Weights of the terms of the loss; 0 leaves a term out."""

    relief: float = Field(
        10.0, ge=0, description="per mm of distance to the true relief, squares below 0.05 mm (Huber)"
    )
    slope: float = Field(
        20.0, ge=0, description="per unit of slope of what is wrong, about a radian between the normals"
    )
    surprise: float = Field(
        0.1, ge=0, description="per unit of surprise (Laplace's negative log-likelihood), kind compact"
    )
    adversarial: float = Field(
        0.0, ge=0, description="of the least-squares adversarial term; 0: no discriminator (see docs)"
    )
    matching: float = Field(
        10.0,
        ge=0,
        description="of the distance between the discriminator's features of true and found relief, with "
        "`adversarial` above 0 (pix2pixHD: 10)",
    )


class DiscriminatorSettings(Settings):
    """The multi-scale patch discriminator of pix2pixHD; only with weights.adversarial above 0."""

    scales: int = Field(
        2, ge=1, le=4, description="resolutions at which patches are judged, halved each time"
    )
    layers: int = Field(3, ge=1, le=5, description="layers of stride 2 of each")
    width: int = Field(32, ge=1, description="channels of the first layer (pix2pixHD: 64)")


class MesoscopicAugmentationSettings(Settings):
    """What happens to a patch before the network sees it."""

    flip: float = Field(0.5, ge=0, le=1, description="share of patches that are mirrored")
    gain: float = Field(0.2, ge=0, lt=1, description="largest change of the factor of brightness")
    colour: float = Field(0.05, ge=0, lt=1, description="largest change of the factor of each colour")
    degraded: float = Field(
        0.3, ge=0, le=1, description="share of patches whose texture is blurred or noisy: the truth stays"
    )
    blur: float = Field(1.5, ge=0, description="largest standard deviation of the blur, texels")
    noise: float = Field(0.04, ge=0, description="largest standard deviation of the noise, contrast")
    uneven: float = Field(
        0.02,
        ge=0,
        description="largest standard deviation, mm, of unevenness that is added to the regularised surface "
        "and taken from the relief",
    )


class TrainMesoscopicSettings(ShortTrainerSettings):
    """Settings of the rule `train_mesoscopic`."""

    train: tuple[str, ...] = Field((), description="entries of `captures` to train on")
    validation: tuple[str, ...] = Field((), description="entries of `captures` to validate on")
    start: str = Field("", description="weights to start from, .safetensors of ours; empty: random")
    displacement_maps: str = Field(
        "",
        description="folder of FaceScape's displacement maps, <person>/dpmap/<number>_<expression>.png; the "
        "relief of captures that have one there is that map, not the scan less the regularised surface",
    )
    network: MesoscopicNetworkSettings = MesoscopicNetworkSettings()
    weights: MesoscopicWeights = MesoscopicWeights()
    discriminator: DiscriminatorSettings = DiscriminatorSettings()
    augmentation: MesoscopicAugmentationSettings = MesoscopicAugmentationSettings()
    patch: int = Field(256, ge=64, multiple_of=64, description="side of a patch, texels")
    stride: int = Field(
        128, ge=16, description="texels between two patches of a capture (moved by half of it at random)"
    )
    batch: int = Field(4, ge=1, description="patches per step over all processes")
    epochs: float = Field(16.0, gt=0, description="passes over the patches")
    learning_rate: float = Field(7e-4, gt=0, description="of Adam, at the start (pix2pixHD: 2e-4)")
    warmup_steps: int = Field(100, ge=0, description="steps over which the rate rises from 0")
    clip_gradient: float = Field(
        1.0, gt=0, description="largest norm of all gradients together (at 10 and twice the rate it diverged)"
    )
    validation_images: int = Field(4, ge=1, description="captures per validation")
    validation_interval: int = Field(250, ge=1, description="steps between validations")
    pictures: int = Field(2, ge=0, le=16, description="captures drawn at each validation")


class PredictMesoscopicSettings(Settings):
    """Settings of the rule `predict_mesoscopic`."""

    network: str | None = Field(
        None,
        description="weights: .safetensors of train_mesoscopic, or pix2pixHD's generator (.pth) with a "
        "FaceScape model; null: those that ship; empty: none, the surface stays as it is",
    )
    tile: int = Field(
        384, ge=128, multiple_of=64, description="side of a tile, texels: memory grows with its square"
    )
    overlap: int = Field(64, ge=16, description="texels that neighbouring tiles share; they blend there")
    certainty: float = Field(
        0.0,
        ge=0,
        le=1,
        description="confidence of the network from which its relief counts whole; below it fades. 0: never, "
        "since where it sees nothing it says little anyway (see docs)",
    )
    strength: float = Field(1.0, ge=0, le=2, description="factor of the relief")
