"""Settings of the evaluation of wrinkles and folds."""

from itertools import pairwise

from pydantic import Field, field_validator

from facemill.runtime.settings import Settings

SYNTHETIC_PHOTOS = "synthesis.photos."


class DetailTask(Settings):
    """What reconstruct_detail found on synthetic photographs, against their true surfaces."""

    dataset: str = Field(
        pattern=r"^synthesis\.photos\.[A-Za-z0-9][A-Za-z0-9_-]*$",
        description="`synthesis.photos.<name>`: a set of the same configuration with displacement: true and "
        "surfaces: true.",
    )


class DetailEvaluationSettings(Settings):
    """How displacement is measured against true surfaces."""

    confident: float = Field(
        default=0.5, gt=0, le=1, description="Confidence from which a texel counts in what is added to skin."
    )
    largest_angle: float = Field(
        default=70.0,
        gt=0,
        lt=90,
        description="Skin that turns farther away from the camera, degrees, is not measured.",
    )
    residual: float = Field(
        default=4.0,
        gt=0,
        description="What is smoother than this, mm (standard deviation of a mean around a vertex), counts "
        "as coarse shape in detail_distance and detail_normal_error: both surfaces are given it.",
    )
    wrinkle_bins: tuple[float, ...] = Field(
        default=(0.0, 0.1, 0.15, 10.0),
        min_length=2,
        description="Borders of the groups of photographs by the true displacement of their skin, mm rms.",
    )
    pictures: int = Field(
        default=6, ge=0, description="Photographs shown, evenly from the best to the worst ratio."
    )
    draws: int = Field(
        default=500, ge=2, description="Draws of people, with return, for the errors of the figures."
    )
    seed: int = Field(default=0, ge=0, description="Another seed draws other people.")

    @field_validator("wrinkle_bins")
    @classmethod
    def _ascends(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(low >= high for low, high in pairwise(value)):
            raise ValueError(f"expected borders that ascend, found {value}")
        return value
