"""Settings of the rule `match_surface`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from facemill.runtime.settings import Settings


class ScoreSettings(Settings):
    """How views are compared at a texel."""

    score: Literal["correlation", "variance"] = Field(
        "correlation",
        description="correlation: zero-mean normalised cross-correlation of windows; variance: of colours.",
    )
    window: int = Field(3, ge=0, le=12, description="texels from the middle of a window to its border")
    best_share: float = Field(
        0.5, gt=0, le=1, description="share of the pairs of views that count, those that agree best"
    )
    most_views: int = Field(
        10, ge=2, le=60, description="views compared at a texel, those that see it most frontally"
    )
    noise: float = Field(
        0.006, gt=0, le=1, description="standard deviation of a colour, 0..1: less contrast is no match"
    )
    tolerance: float = Field(
        0.03, gt=0, le=1, description="standard deviation between views at which the variance scores 0.6"
    )


class LevelSettings(Settings):
    """One search along the normals, around what is known so far."""

    stride: int = Field(ge=1, le=16, description="every so many texels, in rows and columns")
    reach: float = Field(gt=0, le=100, description="mm to either side")
    step: float = Field(gt=0, description="mm between displacements that are compared")
    scale: float = Field(gt=0, le=1, description="by which the pictures are made smaller")

    @property
    def count(self) -> int:
        """Samples of the band, the middle one at its centre."""
        return 2 * max(1, round(self.reach / self.step)) + 1


class MatchSurfaceSettings(ScoreSettings):
    """Settings of the rule `match_surface`."""

    first: tuple[LevelSettings, ...] = Field(
        (
            LevelSettings(stride=4, reach=20.0, step=0.8, scale=0.25),
            LevelSettings(stride=2, reach=3.0, step=0.3, scale=0.5),
            LevelSettings(stride=1, reach=0.6, step=0.1, scale=1.0),
        ),
        min_length=1,
        description="levels of the first pass, from coarse to fine; the reach of the first is how far the "
        "base mesh may be off",
    )
    again: tuple[LevelSettings, ...] = Field(
        (
            LevelSettings(stride=2, reach=3.0, step=0.3, scale=0.5),
            LevelSettings(stride=1, reach=0.6, step=0.1, scale=1.0),
        ),
        min_length=1,
        description="levels of each later pass, which begins with the visibility of the surface found so far",
    )
    passes: int = Field(3, ge=1, le=10, description="the first one included")
    semi_global: bool = Field(
        True, description="aggregate scores along eight paths of texels before taking the maximum"
    )
    small_jump: float = Field(
        0.1, ge=0, description="semi-global cost of one step between neighbouring texels; a score is 0..1"
    )
    large_jump: float = Field(0.6, ge=0, description="semi-global cost of more than one step")
    least_score: float = Field(0.1, ge=0, le=1, description="below it a texel is not matched")
    memory_mb: float = Field(512.0, gt=0, description="budget of the colours that are compared at a time, MB")

    @field_validator("first", "again")
    @classmethod
    def _ends_with_every_texel(cls, levels: tuple[LevelSettings, ...]) -> tuple[LevelSettings, ...]:
        if levels[-1].stride != 1:
            raise ValueError("the last level must have stride 1, or texels are left without a match")
        return levels
