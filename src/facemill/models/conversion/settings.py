"""Settings of the converters of face models that users bring."""

from __future__ import annotations

from pydantic import Field

from facemill.runtime.settings import Settings


class Bfm09Settings(Settings):
    """Settings of the rule `convert_bfm09`."""

    folder: str = Field(
        "resources/licensed/bfm09",
        description="folder of 01_MorphableModel.mat and the files beside it, or of BFM_model_front.mat",
    )


class FacescapeModelSettings(Settings):
    """Settings of the rule `convert_facescape`."""

    folder: str = Field(
        "resources/licensed/facescape",
        description="folder of core_847_50_52.npy, factor_847_50_52.json and 1_neutral.obj (FaceScape)",
    )


class IctFaceKitSettings(Settings):
    """Settings of the rule `convert_ict_facekit`."""

    folder: str = Field(
        "resources/licensed/ict_facekit",
        description="ICT-FaceKit's folder FaceXModel, or the repository that holds it",
    )
    identity_count: int = Field(100, ge=1, le=100, description="identity modes, of the model's 100")
    expression_mixes: int = Field(2000, ge=100, description="random ARKit mixes behind the expression basis")
    seed: int = Field(0, ge=0, description="of those mixes")
