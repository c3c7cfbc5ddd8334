"""Settings of the rules that write faces: `export_coarse`, `export_photo`, `export_person`, `export_now`."""

from typing import Literal

from pydantic import Field

from facemill.runtime.settings import Settings


class ExportSettings(Settings):
    """Settings of the rules `export_coarse` and `export_photo`."""

    texture_size: int = Field(1024, ge=64, le=8192, description="width and height of the texture, texels")
    texture_quality: int = Field(92, ge=50, le=100, description="JPEG quality of the texture in mesh.glb")
    overlay_side: int = Field(1600, ge=64, description="longer side of overlay.png at most, px")
    closeup_side: int = Field(512, ge=64, le=2048, description="side of the pictures around the face, px")
    turned_yaws: tuple[float, ...] = Field(
        (-60.0, -30.0, 0.0, 30.0, 60.0), min_length=1, description="views of turned.png, degrees"
    )


class ExportPersonSettings(Settings):
    """Settings of the rules `export_person` and `export_named_person`."""

    texture_size: int = Field(1024, ge=64, le=8192, description="width and height of the texture, texels")
    texture_quality: int = Field(92, ge=50, le=100, description="JPEG quality of the texture in mesh.glb")
    overlay_side: int = Field(512, ge=64, le=2048, description="side of the photos' overlay.png, px")
    tile_side: int = Field(256, ge=32, le=1024, description="side of a photo on person.png, px")
    shown_photos: int = Field(6, ge=1, description="photos on person.png at most")
    yaws: tuple[float, ...] = Field(
        (-45.0, 0.0, 45.0), min_length=1, description="views of the neutral face on person.png, degrees"
    )


class ExportNowSettings(Settings):
    """Settings of the rule `export_now`: files of a submission to the NoW benchmark."""

    mesh: Literal["obj", "ply"] = Field(
        "obj", description="obj: text, 2.8 MB a head; ply: binary, 1.6 MB, read 100 times faster"
    )
    landmarks: Literal["npy", "txt"] = Field("npy", description="file of the seven landmarks")
