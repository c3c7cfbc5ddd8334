"""Settings of `fit_base_mesh`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from facemill.runtime.settings import Settings


class MatchPass(Settings):
    """One search along the normals of the current mesh."""

    reach: float = Field(gt=0, description="mm to either side of the current mesh.")
    step: float = Field(gt=0, description="mm between the places that are compared.")
    samples: float = Field(gt=0, description="mm between the points of the mesh that are sought.")
    patch: float = Field(
        gt=0, description="mm between the 9 x 9 points of a patch; photos are reduced to about it."
    )
    landmarks: float = Field(
        ge=0, description="Weight of the landmarks beside the places found (1 = as in their own fit)."
    )
    stiffness: float = Field(
        gt=0,
        description="mm: waves of the free-form offset that are shorter than about this are smoothed away.",
    )


class FitBaseMeshSettings(Settings):
    """How the morphable model is brought onto a capture."""

    landmark_convention: Literal["dlib68", "model"] = Field(
        default="dlib68",
        description="Where the detector sees landmarks: dlib68, or model: where the model has them.",
    )
    landmark_noise: float = Field(
        default=2.0,
        gt=0,
        description="mm by which a detector misplaces an inner landmark in all views alike (1 sigma, per "
        "axis); added to the triangulation's covariance.",
    )
    contour_noise: float = Field(
        default=3.0, gt=0, description="mm (1 sigma) of jaw landmarks across the outline of the face."
    )
    strength_deviation: float = Field(
        default=0.5, gt=0, description="Standard deviation of a blendshape's strength."
    )
    expression_deviation: float = Field(
        default=1.0,
        gt=0,
        description="Standard deviation of expression coefficients of models without blendshapes.",
    )
    image_evidence: bool = Field(
        default=True, description="false: the fit to landmarks alone, as the original's base mesh."
    )
    passes: tuple[MatchPass, ...] = Field(
        default=(
            MatchPass(reach=12.0, step=1.0, samples=4.0, patch=1.2, landmarks=0.5, stiffness=40.0),
            MatchPass(reach=5.0, step=0.5, samples=3.0, patch=0.8, landmarks=0.2, stiffness=20.0),
            MatchPass(reach=2.0, step=0.25, samples=2.0, patch=0.5, landmarks=0.1, stiffness=10.0),
        ),
        description="Searches for photo-consistency, from coarse to fine.",
    )
    outlines: bool = Field(
        default=True,
        description="Seek the outline of the skin in each view, between its colours and the background's.",
    )
    most_views: int = Field(
        default=5, ge=2, le=16, description="Views that are compared at a point: those that face it most."
    )
    least_score: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        description="Mean normalised correlation of patches below which a place is no evidence.",
    )
    surface_noise: float = Field(
        default=0.8,
        gt=0,
        description="mm (1 sigma) by which the model's coefficients may miss a place that was found.",
    )
    independent: float = Field(
        default=8.0,
        gt=0,
        description="mm over which errors of places go together: they count once per such square.",
    )
