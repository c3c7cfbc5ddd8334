"""Settings of the rule `blend_texture`."""

from pydantic import Field

from facemill.runtime.settings import Settings


class BlendTextureSettings(Settings):
    """Settings of the rule `blend_texture`."""

    size: int = Field(1024, ge=64, le=8192, description="side of the texture, texels")
    least_cosine: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="cosine between the normal and the direction to a camera below which it is not believed",
    )
    angle_power: float = Field(
        2.0, ge=0, le=8, description="power of the (rescaled) cosine in the weight of a view"
    )
    detail_power: float = Field(
        4.0,
        ge=1,
        le=16,
        description="power of the weights for detail below 2 mm: 1 averages the views, larger ones take it "
        "from the best view, so that views that are a little off do not blur it",
    )
    robust: bool = Field(
        True,
        description="views that disagree with the median of the others (highlights, a hand) count less there",
    )
    field: float = Field(
        25.0,
        ge=0,
        le=200,
        description="standard deviation, mm, of the smooth change of brightness that may fit each view to "
        "the others; 0: one gain per view and colour",
    )
    relocated: bool = Field(
        False,
        description="write blend_texture/relocated.png, too: the 1024 x 1024 frame that the original detail "
        "predictor expects; FaceScape's model only",
    )
