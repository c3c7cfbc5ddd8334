"""Base of all settings, and what the rooms share: read-only values that know which keys exist."""

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """A section of the configuration: frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PhotoLimits(Settings):
    """What one photo may cost the photo rules before it ends as a row that says so."""

    seconds_per_photo: float = Field(
        default=300.0,
        gt=0,
        description="Time after which a rule gives a photo up (status `too_slow`). Usual photos take less "
        "than a second, with detect_faces.detector mmod up to a minute.",
    )
    memory_mb_per_photo: int = Field(
        default=5000,
        ge=1,
        description="Memory that a photo may take beyond what a rule needs before its first, in MB (status "
        "`too_much_memory`). JPEGs take little, PNGs up to 20 bytes a pixel, photos of 16 bits 27; the "
        "default refuses no photo that index_photos.max_pixels lets pass. Jobs ask schedulers for 1000 more.",
    )
