"""Settings of captures: where they are, and how they are prepared and calibrated."""

from typing import Literal

from pydantic import Field, model_validator

from facemill.runtime.settings import Settings

SYNTHETIC_CAPTURES = "synthesis.captures."


class CaptureEntry(Settings):
    """One capture, or one set of them."""

    folder: str = Field(
        description="A capture: a folder with photos and params.json (FaceScape), cameras.json, a COLMAP "
        "sparse model, or photos alone. Or a set: <person>/<k_expression>/params.json below it (FaceScape's "
        "imgs), or `synthesis.captures.<name>` of the same configuration, which is made first."
    )
    unit_mm: float | None = Field(
        default=None,
        gt=0,
        description="Millimetres per unit of the cameras' world. null: what the files say, else unknown; "
        "then the size of the face is estimated from the morphable model.",
    )
    scan: str | None = Field(
        default=None, description="Mesh file of the same head in the world of the cameras: measured against."
    )
    person: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$",
        description="Captures of one person share an identity. null: <name>, in sets <name>-<person>.",
    )
    meshes: str | None = Field(
        default=None,
        description="Sets: folder with the scans, <person>/<k_expression>.ply (FaceScape's mesh).",
    )
    scales: str | None = Field(
        default=None, description="Sets: FaceScape's Rt_scale_dict.json, with the unit of each capture."
    )
    select: str | None = Field(
        default=None, description="Sets: select_dict.json, with the views to use of each capture."
    )
    ids: str | None = Field(
        default=None, description="Sets: id.json, which divides the captures in train and eval."
    )
    split: Literal["train", "eval"] | None = Field(
        default=None, description="Sets: the part of ids to use; null: all captures."
    )
    people: tuple[int, ...] | None = Field(default=None, description="Sets: numbers of people; null: all.")
    expressions: tuple[int, ...] | None = Field(
        default=None, description="Sets: numbers of FaceScape's expressions, 1 (neutral) to 20; null: all."
    )
    surface: bool = Field(
        default=True,
        description="Go on from the base mesh to surface, texture and displacement in a whole run; false: "
        "only when a file of theirs is asked for, or a training needs it.",
    )

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> "CaptureEntry":
        if self.split is not None and self.ids is None:
            raise ValueError("split needs ids, the file that says what belongs to it")
        if self.unit_mm is not None and self.scales is not None:
            raise ValueError("give one of unit_mm and scales, not both: each says how long the unit is")
        if self.scan is not None and self.meshes is not None:
            raise ValueError("give scan (of one capture) or meshes (of a set), not both")
        return self


class PrepareCaptureSettings(Settings):
    """Photos of a capture become pinhole pictures."""

    longer_side: int = Field(
        default=1296,
        ge=64,
        description="Longer side of the prepared pictures, px (MVFR: 1296); larger photos are reduced, with "
        "their intrinsics, smaller ones stay.",
    )
    min_views: int = Field(
        default=2, ge=2, description="Usable views below which a capture is refused (too_few_views)."
    )
    features_side: int = Field(
        default=1000,
        ge=64,
        description="Longer side of the pictures, px, in which points are matched between views for gains "
        "and for checks of the cameras.",
    )
    gains: bool = Field(
        default=True, description="Estimate gains of each view and colour, so that views match each other."
    )


class CalibrateCaptureSettings(Settings):
    """Cameras of a capture that comes without."""

    longer_side: int = Field(
        default=1600,
        ge=64,
        description="Longer side of the pictures, px, in which points are sought; larger photos are reduced.",
    )
    features: int = Field(
        default=8192, ge=100, description="Most points per photo; matching grows with them."
    )
    lens: Literal["SIMPLE_RADIAL", "RADIAL", "OPENCV"] = Field(
        default="SIMPLE_RADIAL",
        description="Distortion that is found: k1; k1 k2; k1 k2 p1 p2. More terms ask for more photos.",
    )
    shared_camera: bool | None = Field(
        default=None,
        description="Whether all photos (of one size) were taken by one camera without zooming. null: those "
        "whose EXIF names the same camera and focal length were.",
    )
    focal_trust: float = Field(
        default=0.04,
        ge=0,
        description="Share by which focal lengths may end up apart from EXIF's; when they would move "
        "further, EXIF is believed. It rounds to a millimetre of full frame, some 2 % for a phone.",
    )
    min_views: int = Field(
        default=2, ge=2, description="Photos that must hang together, else the capture has no cameras."
    )
    seed: int = Field(default=0, ge=0, description="Of the random samples that COLMAP draws.")
