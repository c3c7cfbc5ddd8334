"""Settings of the synthesis rules, and the data sets that a configuration lists."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from facemill.runtime.settings import Settings

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Split = Literal["train", "val", "test"]

SPLIT_WORDS = "Whose people: train, val or test; who belongs where is fixed for all data sets."
FIRST_WORDS = "Members of the split that are skipped: the next data set begins where another ends."


class PhotoTask(Settings):
    """One set of synthetic photographs."""

    split: Split = Field(default="train", description=SPLIT_WORDS)
    first: int = Field(default=0, ge=0, description=FIRST_WORDS)
    identities: int = Field(default=100, ge=1, description="People.")
    photos_per_identity: int = Field(default=4, ge=1, le=1000, description="Photographs of each.")
    shard_size: int = Field(default=25, ge=1, description="People per shard (one job each).")
    framing: Literal["crop", "portrait"] = Field(
        default="crop",
        description="crop: the aligned crop of align_faces, drawn directly; portrait: a photograph as a "
        "camera takes it, for the whole chain of the photo stages.",
    )
    size: int = Field(
        default=224, ge=32, le=4096, description="Side of a crop, or longer side of a portrait, px."
    )
    pictures: Literal["jpg", "png"] = Field(
        default="jpg",
        description="jpg: as the camera compressed it; png: the same pixels, and masks, in the files that "
        "reconstruct_coarse reads.",
    )
    labels: bool = Field(default=True, description="Write what each pixel shows.")
    depth: bool = Field(default=False, description="Write depth maps.")
    yaw_deviation: float = Field(
        default=25.0, ge=0, le=180, description="Standard deviation of the head's turn, degrees."
    )
    yaw_limit: float = Field(default=90.0, ge=0, le=90, description="Largest turn to either side, degrees.")


class SynthesisTasks(Settings):
    """Synthetic data sets of a run: name → data set."""

    photos: dict[Name, PhotoTask] = Field(default_factory=dict, description="Sets of photographs.")


class SynthesizePhotosSettings(Settings):
    """What photographs vary in."""

    seed: int = Field(default=0, ge=0, description="Another seed gives other people in other photographs.")
