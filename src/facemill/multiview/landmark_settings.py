"""Settings of `triangulate_landmarks`."""

from __future__ import annotations

from pydantic import Field

from facemill.runtime.settings import Settings


class TriangulateSettings(Settings):
    """How the landmarks of several views become points of space."""

    face_side: int = Field(
        default=240,
        ge=64,
        description="px of the face's box when landmarks are sought; larger faces are reduced. Faces are "
        "found at detect_faces.working_side.",
    )
    min_score: float = Field(
        default=0.9, le=1, description="Landmark score below which a view does not count."
    )
    outlier: float = Field(
        default=0.03,
        gt=0,
        description="Share of the face's extent (root of its area; 0.03 is about 4 mm) beyond which a view "
        "disagrees about a landmark.",
    )
    noise: float = Field(
        default=0.008,
        gt=0,
        description="Standard deviation of a detected landmark along each axis, share of the face's extent.",
    )
    min_angle: float = Field(
        default=3.0, gt=0, lt=90, description="Smallest angle between rays that fix a point, degrees."
    )
    max_turn: float = Field(
        default=62.0,
        gt=0,
        le=180,
        description="Degrees between where the face looks and where the camera stands, beyond which "
        "landmarks are guesses: such views are `profile` and contribute nothing.",
    )
    moved_share: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        description="A view that agrees about a smaller share of the inner landmarks is `moved` and dropped.",
    )
