"""Settings of `group_people`; no torch here, so that checking a configuration stays cheap."""

from typing import Literal

from pydantic import Field

from facemill.runtime.settings import Settings


class GroupSettings(Settings):
    """Settings of the rule `group_people`: which photos of a person are used, and which form tuples."""

    identity_network: str = Field(
        "resources/weights/identity.safetensors",
        description="tells people apart: the shipped one, or ArcFace's backbone.pth (other thresholds then)",
    )
    other_person: Literal["leave_out", "keep"] = Field(
        "leave_out", description="what becomes of photos that look like another person"
    )
    least_likeness: float = Field(
        0.9,
        ge=-1,
        le=1,
        description="mean cosine of descriptors above which two groups of photos show one person; 0.90 is a "
        "distance of 0.63 in dlib's own descriptors, whose author gives 0.6; lower for photos decades apart",
    )
    duplicate_distance: float = Field(
        0.03,
        ge=0,
        le=2,
        description="1 - correlation of the grey values of two crops (32 x 32) below which they are one "
        "picture; 0: only equal pixels",
    )
    unknown_sittings: Literal["apart", "together"] = Field(
        "apart",
        description="photos in no sitting's folder: each taken for a sitting of its own, or all of a person "
        "for one",
    )
    largest_yaw: float = Field(
        90.0, ge=0, le=90, description="turn above which a photo is in no tuple, degrees"
    )
    least_turn: float = Field(
        10.0, ge=0, description="turn between two views that neighbours should have, degrees of yaw"
    )
    least_overlap: float = Field(
        0.4,
        ge=0,
        le=1,
        description="share of the target's visible face that a source must see for losses between the two",
    )
    epipolar_turn: float = Field(
        5.0, ge=0, description="rotation between two views below which no epipolar line is meant, degrees"
    )
    epipolar_yaw: float = Field(
        45.0,
        ge=0,
        le=90,
        description="turn above which the 68 landmarks are not the same points as in front, degrees: the jaw "
        "slides",
    )
    epipolar_score: float = Field(
        0.93, le=1, description="landmark score that each view of an epipolar tuple needs"
    )
