"""Settings of `train_implicit` and `predict_implicit`; no torch here."""

from typing import Literal

from pydantic import Field

from facemill.runtime.settings import Settings
from facemill.training.settings import ShortTrainerSettings


class ImplicitNetworkSettings(Settings):
    """The network."""

    kind: Literal["published", "compact"] = Field(
        "compact",
        description="compact: ours, features at full resolution, for CPUs; published: AAAI 2022 (128 "
        "features at half resolution, a perceptron of 1024, 512, 256, 128; the other keys do not count)",
    )
    widths: tuple[int, ...] = Field(
        (16, 16, 16), min_length=1, description="channels of the hidden 3 x 3 convolutions of kind compact"
    )
    features: int = Field(
        12, ge=4, le=256, description="channels of the feature image; 3 of them are the normalised picture"
    )
    hidden: tuple[int, ...] = Field((64, 64), description="widths of the perceptron's hidden layers")
    aggregation: Literal["visibility", "variance"] = Field(
        "visibility",
        description="visibility: weighted similarity and variance over the views that see a texel; variance: "
        "of all views, unweighted, as published (kind published has no other)",
    )
    taps: int = Field(
        5, ge=1, le=9, description="points along each side of the patch of surface a query reads; odd"
    )


class ImplicitAugmentationSettings(Settings):
    """What happens to the views of a training patch."""

    least_views: int = Field(2, ge=2, description="views that are kept at least; each number is as likely")
    dropped: float = Field(0.5, ge=0, le=1, description="share of patches that lose views at random")
    gain: float = Field(0.06, ge=0, description="standard deviation of the logarithm of a view's gain")
    colour_gain: float = Field(0.03, ge=0, description="the same for each of its colours")
    blurred: float = Field(0.1, ge=0, le=1, description="share of views that are blurred")
    blur: float = Field(1.2, ge=0, description="largest standard deviation of that blur, pixels")
    noise: float = Field(0.006, ge=0, description="largest standard deviation of added noise, colours 0..1")
    hidden: float = Field(0.1, ge=0, le=1, description="share of views of which a part is covered")
    jitter: float = Field(
        0.15, ge=0, description="standard deviation of a shift of each view, pixels: cameras are never exact"
    )
    flat: float = Field(
        0.03, ge=0, le=1, description="share of patches without any texture, where nothing may match"
    )


class TrainImplicitSettings(ShortTrainerSettings):
    """Settings of the rule `train_implicit`."""

    train: tuple[str, ...] = Field(
        (), description="entries of `captures` to train on; those without a scan are left out"
    )
    validation: tuple[str, ...] = Field((), description="entries of `captures` to validate on")
    start: str = Field("", description="weights to start from, .safetensors of ours; empty: random")
    network: ImplicitNetworkSettings = ImplicitNetworkSettings()
    sampling: Literal["bands", "published"] = Field(
        "bands",
        description="bands: for each texel a row of displacements around the truth, at several scales; "
        "published: `queries` single displacements, four fifths and more near the surface (N(0, 2 mm)), the "
        "others uniform, as many inside as outside",
    )
    patches: int = Field(64, ge=1, description="patches per capture and epoch")
    texels: int = Field(96, ge=1, description="texels of a patch that count in a step (bands)")
    offsets: int = Field(17, ge=3, description="displacements per texel (bands)")
    queries: int = Field(10000, ge=16, description="queries per capture and step (published)")
    band: float = Field(20.0, gt=0, description="largest displacement that is asked for, mm either way")
    scale_shares: tuple[float, ...] = Field(
        (0.6, 0.2, 0.1, 0.1),
        min_length=1,
        description="how often pictures are halved 0, 1, 2, … times (bands)",
    )
    score_weight: float = Field(1.0, ge=0, description="of the score's own error, beside that of its peak")
    finest: float = Field(0.2, gt=0, description="pictures of finer pixels than this are reduced, mm")
    most_views: int = Field(10, ge=2, description="views that are compared at a texel, the best ones")
    augmentation: ImplicitAugmentationSettings = ImplicitAugmentationSettings()
    batch: int = Field(4, ge=1, description="patches per step over all processes")
    learning_rate: float = Field(2e-3, gt=0, description="of Adam, at the start")
    validation_images: int = Field(48, ge=1, description="patches per validation, evenly over the captures")


class PredictImplicitSettings(Settings):
    """Settings of the rule `predict_implicit`."""

    network: str | None = Field(
        None, description="weights, .safetensors of train_implicit; null: those that ship; empty: none"
    )
    search: Literal["coarse_to_fine", "dense"] = Field(
        "coarse_to_fine",
        description="dense: every texel at every step of the whole band, to compare with (slow)",
    )
    band: float = Field(
        20.0, gt=0, le=60, description="largest displacement that is looked for, mm either way"
    )
    finest: float = Field(0.2, gt=0, description="pictures of finer pixels than this are reduced, mm")
    most_views: int = Field(10, ge=2, description="views that are compared at a texel, the best ones")
    memory_mb: int = Field(
        1024, ge=1, description="memory for the samples of one chunk of queries, megabytes"
    )
