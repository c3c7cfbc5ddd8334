"""Settings of the photo stages, and the image formats that the project reads."""

from typing import Literal

from pydantic import Field, model_validator

from facemill.runtime.settings import Settings

# Format of Pillow -> suffixes. These are the still images that Pillow 10 to 13 decodes by itself. The list
# is spelled out because the workflow needs it where importing Pillow would be too slow, and because files
# are opened with exactly these formats: a renamed .eps must never reach Ghostscript.
# tests/unit/photos/test_photo_formats.py compares it with Pillow.
IMAGE_FORMATS: dict[str, tuple[str, ...]] = {
    "AVIF": (".avif", ".avifs"),
    "BLP": (".blp",),
    "BMP": (".bmp",),
    "CUR": (".cur",),
    "DCX": (".dcx",),
    "DDS": (".dds",),
    "DIB": (".dib",),
    "FITS": (".fit", ".fits"),
    "FTEX": (".ftc", ".ftu"),
    "GBR": (".gbr",),
    "GIF": (".gif",),
    "ICNS": (".icns",),
    "ICO": (".ico",),
    "IM": (".im",),
    "IPTC": (".iim",),
    "JPEG": (".jfif", ".jpe", ".jpeg", ".jpg"),
    "JPEG2000": (".j2c", ".j2k", ".jp2", ".jpc", ".jpf", ".jpx"),
    "MPO": (".mpo",),
    "MSP": (".msp",),
    "PCD": (".pcd",),
    "PCX": (".pcx",),
    "PIXAR": (".pxr",),
    "PNG": (".apng", ".png"),
    "PPM": (".pbm", ".pfm", ".pgm", ".pnm", ".ppm"),
    "PSD": (".psd",),
    "QOI": (".qoi",),
    "SGI": (".bw", ".rgb", ".rgba", ".sgi"),
    "SUN": (".ras",),
    "TGA": (".icb", ".tga", ".vda", ".vst"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "XBM": (".xbm",),
    "XPM": (".xpm",),
}
IMAGE_SUFFIXES: frozenset[str] = frozenset(suffix for group in IMAGE_FORMATS.values() for suffix in group)

MAX_PIXELS = 178_956_970  # Pillow opens nothing larger: twice its Image.MAX_IMAGE_PIXELS


class PhotoSet(Settings):
    """One folder of photos."""

    folder: str = Field(description="Folder with the photos; subfolders are not searched.")
    shard_size: int = Field(
        default=256,
        ge=1,
        description="Photos per shard (one job each) at the first plan; shards may grow to twice that.",
    )


class PeopleSet(Settings):
    """Several photos of each of several people: one of `folder`, `photos` and `mgcnet`."""

    folder: str | None = Field(
        default=None,
        description="Folder with a folder of photos per person; a folder inside a person's is a sitting.",
    )
    photos: str | None = Field(
        default=None,
        pattern=r"^synthesis\.photos\.[A-Za-z0-9][A-Za-z0-9_-]*$",
        description="`synthesis.photos.<name>`: the synthetic portraits of this name in the same "
        "configuration, which are taken first.",
    )
    mgcnet: str | None = Field(
        default=None, description="Folder of MGCNet's training triplets; each triplet is a person."
    )
    split: str = Field(
        default="train",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        description="Name of the list in the folder of triplets, without .txt.",
    )
    shard_size: int = Field(
        default=64,
        ge=1,
        description="Photos per shard (one job each) at the first plan; a person's photos stay together.",
    )

    @model_validator(mode="after")
    def _has_one_source(self) -> "PeopleSet":
        given = [name for name in ("folder", "photos", "mgcnet") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of folder, photos and mgcnet; given: {', '.join(given) or 'none'}")
        return self


class IndexSettings(Settings):
    """What makes a file a usable photo."""

    max_pixels: int = Field(
        default=150_000_000,
        ge=1,
        le=MAX_PIXELS,
        description="Width x height above which a photo is refused before decoding (decompression bombs); "
        "medium-format cameras have up to 102 million.",
    )
    min_side: int = Field(default=32, ge=1, description="Shortest width or height of a photo, in pixels.")


class DetectSettings(Settings):
    """How faces are found."""

    detector: Literal["hog", "mmod"] = Field(
        default="hog",
        description="hog: dlib's frontal detector, 0.03 s a portrait; mmod: dlib's network, finds turned "
        "faces, 3 to 12 s a photo on a CPU.",
    )
    faces: Literal["largest", "all"] = Field(
        default="largest",
        description="largest: one row per photo; all: further faces get rows of their own, <photo>_face2, …",
    )
    working_side: int = Field(
        default=800,
        ge=80,
        description="Longer side, in pixels, to which photos are reduced for the search. "
        "dlib finds faces from about 80 pixels there.",
    )
    retries: int = Field(
        default=1,
        ge=0,
        le=3,
        description="When no face is found, how often the search is repeated at twice the resolution, "
        "for small faces and small photos.",
    )
    min_score: float = Field(
        default=0.2,
        description="Detector's score below which a face does not count. On portraits, false faces of hog "
        "reach 0.12 and frontal faces score about 1.5.",
    )
    min_eye_distance: float = Field(
        default=12.0,
        ge=0,
        description="Distance of the eye centres, in pixels of the photo, below which a face is too small. "
        "In the aligned crop it is about 63.",
    )


class AlignSettings(Settings):
    """The aligned crop."""

    template: Literal["deep3d", "mgcnet"] = Field(
        default="deep3d",
        description="deep3d: shift and scale of Deep3DFaceReconstruction (Deng et al. 2019, released code), "
        "roll stays; mgcnet: MGCNet's template (Shang et al. 2020), roll taken out, for networks that were "
        "trained so.",
    )
    size: int = Field(default=224, ge=16, description="Side of the crop, in pixels (Deep3D: 224).")
    rescale: float = Field(
        default=102.0,
        gt=0,
        description="Crop pixels per unit (decimetre) of Deep3D's five standard points (Deep3D: 102).",
    )


class LandmarkSettings(Settings):
    """68 landmarks on the crop."""

    detector: str = Field(default="dlib68", description="Registered landmark detector.")
    jitters: int = Field(
        default=4,
        ge=1,
        le=64,
        description="Boxes, slightly shifted and scaled, to average over; each is also mirrored.",
    )
    enlargement: int = Field(
        default=2,
        ge=1,
        le=8,
        description="Times the crop is enlarged, because dlib rounds to whole pixels; with the average over "
        "the boxes, 2 leaves 0.05 pixels of rounding.",
    )
    min_score: float = Field(
        default=0.9,
        le=1,
        description="Score below which the landmarks are not trusted; dlib68: 1 - spread of the jittered "
        "results / distance of the eyes.",
    )


class SkinSettings(Settings):
    """Skin probability by colour (Deep3DFaceReconstruction, released code)."""

    prior: float = Field(
        default=0.8, gt=0, lt=1, description="Probability of skin before the colour is seen."
    )


class SplitSettings(Settings):
    """Training and validation photos."""

    val_share: float = Field(default=0.1, ge=0, le=1, description="Share of photos held out for validation.")
    seed: int = Field(default=0, ge=0, description="Another seed gives another split.")
