"""Settings of the rules that export base meshes and their maps."""

from typing import Literal

from pydantic import Field

from facemill.runtime.settings import Settings


class UvMapSettings(Settings):
    """Settings of the rule `build_uv_maps`."""

    size: Literal[256, 512] = Field(512, description="side of the maps, texels")
    normal_blur: float = Field(
        0.0,
        ge=0,
        le=20,
        description="standard deviation, texels, of the blur of the normals; 0: those of the surface; "
        "3.5 at 512 is what MVFR does",
    )
    band: float = Field(
        20.0, gt=0, description="largest displacement to a scan, mm, either way; beyond there is none"
    )


class ExportBaseMeshSettings(Settings):
    """Settings of the rule `export_base_mesh`."""

    texture_size: int = Field(512, ge=64, le=4096, description="side of the texture in base_mesh.glb, texels")
    tile_height: int = Field(360, ge=64, le=1296, description="height of a view in overlays.png, px")
    sheet_width: int = Field(2400, ge=256, le=8192, description="width of overlays.png at most, px")
    geometry_side: int = Field(480, ge=64, le=2048, description="height of geometry.png, px")
