"""Settings of the builder of the embedded head."""

from __future__ import annotations

from pydantic import Field

from facemill.runtime.settings import Settings


class HeadSettings(Settings):
    """What can be chosen when the embedded head is built; the defaults made the shipped file."""

    seed: int = Field(0, ge=0, description="of every random draw")
    people: int = Field(2000, ge=50, description="sampled heads behind the identity basis")
    identity_count: int = Field(120, ge=1, description="identity components")
    complexions: int = Field(240, ge=20, description="painted people behind the albedo basis")
    albedo_count: int = Field(70, ge=1, description="albedo components")
    expression_mixes: int = Field(2000, ge=100, description="random ARKit mixes behind the expression basis")
    largest_slider_deviation: float = Field(
        0.25, gt=0, description="of any slider before calibration; targets are drawn for weights up to 1"
    )
    largest_movement: float = Field(
        3.0, gt=0, description="millimetres that one standard deviation of a slider may move any vertex"
    )
    lip_gap: float = Field(
        -0.1, description="millimetres between the lips at rest; negative presses them together"
    )
