"""Settings of `write_report`."""

from pydantic import Field

from facemill.runtime.settings import Settings


class ReportSettings(Settings):
    """Settings of the rule `write_report`; together they bound the size of the page."""

    title: str = Field("", description="heading of the page; empty: the name of the run")
    max_faces: int = Field(60, ge=0, description="faces shown, spread over the sets; the rest are counted")
    max_people: int = Field(20, ge=0, description="people shown, spread over the sets of people")
    max_captures: int = Field(20, ge=0, description="captures shown; the table has more of them")
    max_rows: int = Field(
        500, ge=0, description="rows of each table of photos or captures; the rest are counted"
    )
    picture_side: int = Field(360, ge=64, le=1024, description="longer side of an embedded picture, px")
    strip_width: int = Field(1200, ge=128, le=4096, description="width of the turned views, px")
    picture_quality: int = Field(85, ge=50, le=100, description="JPEG quality of embedded pictures")
    viewers: bool = Field(True, description="an interactive 3-D view of each face shown")
    viewer_texture: int = Field(512, ge=64, le=4096, description="side of the texture in a 3-D view, texels")


class CostSettings(Settings):
    """What a run is estimated to cost."""

    measured: tuple[str, ...] = Field(
        default=(),
        description="costs.csv of earlier runs on this machine or cluster; none: those that ship in "
        "resources/costs/, from two cores without a GPU.",
    )
