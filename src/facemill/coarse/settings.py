"""Settings of `reconstruct_coarse`; no torch here, so that checking a configuration stays cheap."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from facemill.runtime.settings import Settings


class CoarseWeights(Settings):
    """Weights of the hybrid loss; the defaults are Deep3DFaceRecon's (Deng et al. 2019, its options)."""

    photometric: float = Field(1.92, ge=0, description="per unit of colour distance, colours 0..1")
    landmark: float = Field(1.6e-3, ge=0, description="per square pixel of the 224 crop, mean over 68 points")
    landmark_emphasis: float = Field(
        20.0,
        gt=0,
        description="weight of the nose ridge (28..30) and the inner mouth (60..67); others count 1",
    )
    identity: float = Field(3e-4, ge=0, description="per squared standard deviation")
    expression: float = Field(2.4e-4, ge=0, description="per squared standard deviation (3e-4 x 0.8)")
    albedo: float = Field(5.1e-6, ge=0, description="per squared standard deviation (3e-4 x 1.7e-2)")
    reflectance: float = Field(
        5.0, ge=0, description="per variance of the albedo over the skin, colours 0..1"
    )
    lighting: float = Field(10.0, ge=0, description="per squared deviation of the lighting from white")


FITTING_WEIGHTS = CoarseWeights(
    landmark=6e-3, landmark_emphasis=3.0, identity=3e-4, expression=3e-4, albedo=3e-4, reflectance=0.1
)


class LandmarkStageSettings(Settings):
    """Pose, identity and expression from 68 landmarks: maximum a posteriori, Levenberg-Marquardt."""

    noise: float = Field(
        2.2,
        gt=0,
        description="standard deviation of a landmark, px of the crop (3 % of the eyes in two axes)",
    )
    mouth_noise: float = Field(
        1.2, gt=0, description="standard deviation of a landmark of the inner mouth, px"
    )
    contour_noise: float = Field(
        4.0, gt=0, description="standard deviation of a jaw landmark, px of the crop"
    )
    outlier_scale: float = Field(
        2.5, gt=0, description="standard deviations at which a landmark counts half (Cauchy)"
    )
    depth_deviation: float = Field(
        100.0, gt=0, description="standard deviation of the distance to the camera, mm"
    )
    dense_points: float = Field(
        60.0,
        gt=0,
        description="as how many independent points dense landmarks count: errors of neighbours go together",
    )
    beside_dense: float = Field(
        2.0, gt=0, description="factor of the 68 landmarks' noise where there are dense landmarks too"
    )
    pose_iterations: int = Field(12, ge=1, description="iterations for the pose alone")
    iterations: int = Field(25, ge=1, description="iterations for pose and shape")


class FittingLevel(Settings):
    """One level of the coarse-to-fine schedule."""

    reduction: int = Field(
        ge=1, le=8, description="pixels of the 224 crop per rendered pixel; must divide 224"
    )
    steps: int = Field(ge=1)

    @field_validator("reduction")
    @classmethod
    def _divides_the_crop(cls, value: int) -> int:
        if 224 % value:
            raise ValueError(f"expected a divisor of 224 (1, 2, 4, 7 or 8), found {value}")
        return value


class PhotometricStageSettings(Settings):
    """All coefficients from the pixels: closed-form lighting and albedo, then Adam on the hybrid loss."""

    levels: tuple[FittingLevel, ...] = Field(
        (FittingLevel(reduction=2, steps=50), FittingLevel(reduction=1, steps=30)),
        description="coarse to fine: pixels of the crop per rendered pixel, and steps; []: only lighting and "
        "albedo come from the pixels, in closed form, the shape from the landmarks",
    )
    after_network: float = Field(
        0.5,
        gt=0,
        le=1,
        description="share of these steps behind a network, whose faces begin closer to the photo",
    )
    learning_rate: float = Field(0.03, gt=0, description="standard deviations per step, at the start")
    final_rate: float = Field(
        0.1, gt=0, le=1, description="share of the learning rate left at the end (cosine)"
    )
    rotation_step: float = Field(0.05, gt=0, description="radians that count as one standard deviation")
    translation_step: float = Field(3.0, gt=0, description="mm that count as one standard deviation")
    lighting_step: float = Field(0.5, gt=0, description="lighting that counts as one standard deviation")
    raster_interval: int = Field(5, ge=1, description="steps between two rasterisations")
    outlier_scale: float = Field(
        3.0, gt=0, description="colour distance at which a pixel counts a quarter, in medians of the face"
    )
    appearance_rounds: int = Field(
        10, ge=1, description="rounds of closed-form lighting and albedo at the start"
    )
    appearance_reduction: int = Field(
        4, ge=1, le=8, description="pixels of the crop per pixel of those rounds"
    )


class CoarseSettings(Settings):
    """Settings of the rule `reconstruct_coarse`."""

    network: str | None = Field(
        None,
        description="weights that predict each face first: .safetensors of train_coarse, or epoch_*.pth of "
        "Deep3DFaceRecon_pytorch; absent: the shipped ones for model: head, none for others; empty text: "
        "none, the fit starts from the mean face",
    )
    refine: bool = Field(True, description="fit to the photo; false (or 0): the prediction as it is")
    weights: CoarseWeights = FITTING_WEIGHTS
    landmarks: LandmarkStageSettings = LandmarkStageSettings()
    photometric: PhotometricStageSettings = PhotometricStageSettings()
    landmark_convention: Literal["dlib68", "model"] = Field(
        "dlib68",
        description="whose 68 points the photos have: dlib's, which sees some of them elsewhere than "
        "the embedded head has them, or the model's own (landmarks of synthetic photos)",
    )
    camera_distance: float = Field(
        600.0,
        ge=200,
        le=10_000,
        description="from the camera of the crop to the head, mm; the focal length goes with it, so this is "
        "the strength of the perspective; a network without dense landmarks predicts for the camera that it "
        "was trained for (Deep3D's: 1000), and with it this is ignored",
    )
    batch_size: int = Field(
        1,
        ge=1,
        description="faces fitted at a time; 1 makes a face independent of the others to the last bit",
    )
    strength_deviation: float = Field(
        0.5, gt=0, description="standard deviation of the strength (0..1) of a blendshape"
    )
    expression_deviation: float = Field(
        1.0, gt=0, description="standard deviation of expression coefficients of models without blendshapes"
    )
    initial_deviation: float = Field(
        0.25, gt=0, description="how far a given start may be off, standard deviations of the model"
    )
    largest_landmark_error: float = Field(
        0.25,
        gt=0,
        description="a larger landmark error, as a share of the outer-eye distance, is `fit_failed`",
    )

    @model_validator(mode="after")
    def _does_something(self) -> "CoarseSettings":
        if self.network == "" and not self.refine:
            raise ValueError("refine: false needs the weights of a network; set reconstruct_coarse.network")
        return self
