"""Settings of `export_detail`, `export_photo_detail` and `animate_detail`; no torch here."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from facemill.runtime.settings import Settings

ExpressionName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


def _both(name: str, strength: float) -> dict[str, float]:
    return {f"{name}Left": strength, f"{name}Right": strength}


EXPRESSIONS: dict[str, dict[str, float]] = {
    "neutral": {},
    "smile": {**_both("mouthSmile", 0.85), **_both("cheekSquint", 0.6), **_both("eyeSquint", 0.3)},
    "brows_up": {"browInnerUp": 1.0, **_both("browOuterUp", 1.0), **_both("eyeWide", 0.4)},
    "frown": {**_both("browDown", 0.9), **_both("mouthFrown", 0.7), **_both("noseSneer", 0.3)},
    "jaw_open": {"jawOpen": 0.6},
}


class ExportDetailSettings(Settings):
    """Settings of the rules `export_detail` and `export_photo_detail`."""

    surface: Literal["subdivided", "grid"] = Field(
        "subdivided",
        description="fine mesh: the model's, subdivided, or one vertex per texel of the face",
    )
    level: int = Field(
        1, ge=0, le=3, description="halvings of the face's edges: 1 is 0.7 mm on the embedded head, 2 0.35 mm"
    )
    texture_size: int = Field(1024, ge=64, le=8192, description="width and height of the texture, texels")
    texture_quality: int = Field(92, ge=50, le=100, description="JPEG quality of the texture in .glb files")
    picture_side: int = Field(1024, ge=64, le=2048, description="side of the pictures of one face, px")


class AnimateDetailSettings(Settings):
    """Settings of the rule `animate_detail`."""

    expressions: dict[ExpressionName, dict[str, float]] = Field(
        default_factory=lambda: dict(EXPRESSIONS),
        min_length=1,
        description="name → strengths of the model's blendshapes (ARKit's names), in place of the photo's "
        "expression; models without blendshapes show their first expression coefficients instead",
    )
    photos: tuple[str, ...] = Field(
        (), description="<set>/<photo>: faces that a whole run shows so; others are made when they are named"
    )
    texture_size: int = Field(1024, ge=64, le=8192, description="width and height of the texture, texels")
    texture_quality: int = Field(92, ge=50, le=100, description="JPEG quality of the texture in .glb files")
    picture_side: int = Field(512, ge=64, le=2048, description="side of each picture of expressions.png, px")
