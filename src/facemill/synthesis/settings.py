"""Settings of the synthesis rules, and the data sets that a configuration lists."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from facemill.runtime.settings import Settings

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Split = Literal["train", "val", "test"]
CaptureExpression = Literal[
    "neutral",
    "smile",
    "mouth_stretch",
    "anger",
    "jaw_left",
    "jaw_right",
    "jaw_forward",
    "mouth_left",
    "mouth_right",
    "dimpler",
    "chin_raiser",
    "lip_puckerer",
    "lip_funneler",
    "sadness",
    "lip_roll",
    "grin",
    "cheek_blowing",
    "eye_closed",
    "brow_raiser",
    "brow_lower",
]

SPLIT_WORDS = "Whose people: train, val or test; who belongs where is fixed for all data sets."
FIRST_WORDS = "Members of the split that are skipped: the next data set begins where another ends."


class PhotoTask(Settings):
    """One set of synthetic photographs."""

    split: Split = Field(default="train", description=SPLIT_WORDS)
    first: int = Field(default=0, ge=0, description=FIRST_WORDS)
    identities: int = Field(default=100, ge=1, description="People.")
    photos_per_identity: int = Field(default=4, ge=1, le=1000, description="Photographs of each.")
    views_per_sitting: int = Field(
        default=1,
        ge=1,
        le=100,
        description="Photographs in a row that share expression, light, clothes and exposure while the "
        "camera moves around the head; 1: each has its own.",
    )
    shard_size: int = Field(default=25, ge=1, description="People per shard (one job each).")
    framing: Literal["crop", "portrait"] = Field(
        default="crop",
        description="crop: the aligned crop of align_faces, drawn directly; portrait: a photograph as a "
        "camera takes it, for the whole chain of the photo stages.",
    )
    size: int = Field(
        default=224,
        ge=32,
        le=4096,
        description="Side of a crop, or longer side of a portrait, px. With png, crops of another size than "
        "224 have the crop of 224 beside them that align_faces would cut.",
    )
    surface_level: Literal[0, 1] = Field(
        default=0, description="Fineness: vertices 1.4 or 0.7 mm apart in the face, with pores at 1."
    )
    wrinkles: float = Field(
        default=1.0,
        ge=0,
        le=3,
        description="How steep folds are and how early they come with age: 1 as in all other data sets, "
        "which is mild; 0 (or false): people without folds, pores and unevenness.",
    )
    pictures: Literal["jpg", "png"] = Field(
        default="jpg",
        description="jpg: as the camera compressed it; png: the same pixels, and masks, in the files that "
        "reconstruct_coarse reads.",
    )
    labels: bool = Field(default=True, description="Write what each pixel shows.")
    depth: bool = Field(default=False, description="Write depth maps.")
    displacement: bool = Field(
        default=False, description="Write the true displacement of the skin that each pixel shows."
    )
    surfaces: bool = Field(
        default=False, description="Write the true surface of each photograph, to measure others against."
    )
    yaw_deviation: float = Field(
        default=25.0, ge=0, le=180, description="Standard deviation of the head's turn, degrees."
    )
    yaw_limit: float = Field(default=90.0, ge=0, le=90, description="Largest turn to either side, degrees.")


class CaptureTask(Settings):
    """One set of calibrated captures in FaceScape's layout."""

    split: Split = Field(default="test", description=SPLIT_WORDS)
    first: int = Field(default=0, ge=0, description=FIRST_WORDS)
    identities: int = Field(default=1, ge=1, description="People (one job each).")
    expressions: tuple[CaptureExpression, ...] = Field(
        default=("neutral",), min_length=1, description="Of FaceScape's twenty, by name."
    )
    difficulty: Literal["clean", "hard"] = Field(
        default="clean",
        description="clean: no highlights, exact cameras, noise of 1/255; hard: highlights that move with "
        "the view, gains off by 5 %, colours by 2 %, cameras by 0.3 px, borders blurred, JPEG.",
    )
    views: int = Field(default=10, ge=2, le=20, description="Cameras.")
    width: int = Field(default=864, ge=48, le=4096, description="Of the photos, px; 216 mm at the face.")
    height: int = Field(default=1296, ge=48, le=4096, description="Of the photos, px.")
    level: int = Field(
        default=2, ge=0, le=2, description="Fineness: vertices 1.2, 0.6 or 0.3 mm apart in the face."
    )


class ScanTask(Settings):
    """One set of scans with photographs, in NoW's layout."""

    split: Split = Field(default="test", description=SPLIT_WORDS)
    first: int = Field(default=0, ge=0, description=FIRST_WORDS)
    identities: int = Field(default=40, ge=1, description="People (one job each).")
    photos_per_identity: int = Field(
        default=4, ge=1, le=100, description="Photographs of each; the four challenges take turns."
    )
    size: int = Field(default=1000, ge=64, le=4096, description="Longer side of a photograph, px.")


class SynthesisTasks(Settings):
    """Synthetic data sets of a run: name → data set."""

    photos: dict[Name, PhotoTask] = Field(default_factory=dict, description="Sets of photographs.")
    captures: dict[Name, CaptureTask] = Field(default_factory=dict, description="Calibrated captures.")
    scans: dict[Name, ScanTask] = Field(default_factory=dict, description="Scans with photographs.")


class SynthesizePhotosSettings(Settings):
    """What photographs vary in."""

    seed: int = Field(default=0, ge=0, description="Another seed gives other people in other photographs.")
    pitch_deviation: float = Field(
        default=9.0, ge=0, le=45, description="Standard deviation of nodding, degrees."
    )
    roll_deviation: float = Field(
        default=6.0, ge=0, le=45, description="Standard deviation of leaning to a shoulder, degrees."
    )
    nearest: float = Field(default=300.0, gt=150, description="Shortest distance to the camera, mm.")
    farthest: float = Field(default=2500.0, gt=150, description="Longest distance to the camera, mm.")
    point_noise: float = Field(
        default=1.5,
        ge=0,
        description="Standard deviation of the five points that place a crop, px of the 224 crop.",
    )
    accessories: float = Field(
        default=0.6,
        ge=0,
        le=2,
        description="How often hats, glasses, hands, masks and scarves are seen: at 1 on every second "
        "photograph, at 0 never.",
    )


class ContactSheetSettings(Settings):
    """The overview of a set of photographs."""

    photos: int = Field(default=200, ge=1, description="Photographs shown, evenly from the set.")
    columns: int = Field(default=20, ge=1, description="Photographs in a row.")
    side: int = Field(default=112, ge=16, description="Side of each, px.")
    landmarks: bool = Field(default=False, description="Mark the true landmarks; hidden ones are red.")


class SynthesizeCapturesSettings(Settings):
    """What captures share."""

    seed: int = Field(default=0, ge=0, description="Another seed gives other people.")


class SynthesizeScansSettings(Settings):
    """What the scanner suffers, and what photographs of the scanned vary in."""

    seed: int = Field(default=0, ge=0, description="Another seed gives other people.")
    voxel: float = Field(default=1.15, gt=0, description="Distance of the scan's vertices, about, mm.")
    noise: float = Field(
        default=0.1, ge=0, description="Deviation of the depth of each of the scanner's six cameras, mm."
    )
    warp: float = Field(default=0.1, ge=0, description="Deviation of their smooth errors, mm.")
    neutral_yaw: float = Field(
        default=80.0, ge=0, le=90, description="Largest turn in multiview_neutral, degrees."
    )
    other_yaw: float = Field(
        default=50.0, ge=0, le=90, description="Largest turn in the other multiview challenges, degrees."
    )
    selfie_yaw: float = Field(default=30.0, ge=0, le=90, description="Largest turn in selfies, degrees.")
