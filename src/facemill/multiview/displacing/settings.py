"""Settings of the rule `displace_mesh`."""

from pydantic import Field

from facemill.runtime.settings import Settings


class DisplaceMeshSettings(Settings):
    """Settings of the rule `displace_mesh`."""

    edge_mm: float = Field(
        0.5, ge=0.1, le=20, description="length of edges in the face, mm; they are between 0.7 and 1.4 of it"
    )
    levels: int = Field(
        1,
        ge=1,
        le=4,
        description="levels of detail: 1 is mesh.* alone; each further one is a GLB in displace_mesh/ with "
        "edges four times as long and a normal map of the finest",
    )
    facescape_map: bool = Field(
        False,
        description="write displace_mesh/facescape.png, too: the relief as a 4096 x 4096 map in FaceScape's "
        "encoding",
    )
    preview_side: int = Field(720, ge=64, le=4096, description="height of displace_mesh/preview.png, px")
