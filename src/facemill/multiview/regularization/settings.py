"""Settings of `regularize_surface` and `train_regularizer`; no torch here."""

from typing import Literal

from pydantic import Field

from facemill.runtime.settings import Settings


class SurfaceSettings(Settings):
    """The classical regularisation: robust matches against bending and the base mesh."""

    smoothness: float = Field(
        3.0, gt=0, description="mm: length of the wave of displacement that certain matches everywhere halve"
    )
    outlier: float = Field(
        0.15, gt=0, description="mm from the surface at which a match counts a quarter (Geman-McClure)"
    )
    pull: float = Field(
        0.02,
        gt=0,
        description="what the base mesh counts where it deviates by 0.2 mm, against 1 of a certain match",
    )
    rounds: int = Field(3, ge=1, description="rounds of reweighting at `outlier`, after four wider ones")


class RegularizeSurfaceSettings(Settings):
    """Settings of the rule `regularize_surface`."""

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
    surface: SurfaceSettings = SurfaceSettings()
